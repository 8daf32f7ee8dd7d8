#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

TEST_CASE("the program tells its version") { CHECK(std::system((std::string(GREVY_PROGRAM) + " --version >/dev/null").c_str()) == 0); }
