// grevy/host/version.hpp: which host this is.
#ifndef GREVY_HOST_VERSION_HPP
#define GREVY_HOST_VERSION_HPP

namespace grevy::host {

// Version of the host, "MAJOR.MINOR.PATCH". It lives as long as the process.
const char* version();

}  // namespace grevy::host

#endif
