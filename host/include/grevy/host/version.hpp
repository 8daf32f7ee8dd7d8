#ifndef GREVY_HOST_VERSION_HPP
#define GREVY_HOST_VERSION_HPP

namespace grevy::host {

// Version of the host, "MAJOR.MINOR.PATCH".
const char* version();

}  // namespace grevy::host

#endif
