// Which namespaces mangled names name, written by hand after the ABI and by a compiler.
#include "plugins/mangled_name.hpp"

#include <doctest/doctest.h>

#include <string>

using grevy::host::names_namespace;

TEST_CASE("a namespace of the outermost level is found wherever a name names it") {
  for (const char* name : {
           "_ZN2at4loadEv",                            // at::load()
           "_ZNK2at6Tensor4sizeEl",                    // a const method
           "_ZNVKR2at6Tensor4sizeEl",                  // of everything that a method can be
           "_ZTIN2at6TensorE",                         // its type
           "_ZTVN2at6TensorE",                         // its table
           "_Z3useRKN2at6TensorE",                     // an argument
           "_ZN2my3useEN2at6TensorE",                  // of a function in another namespace
           "_ZN2my3useIN2at6TensorEEEvT_",             // of a template
           "_ZNSt6vectorIN2at6TensorESaIS1_EE3addEv",  // in a container
           "_ZN2my3useILi12EEEvRN2at6TensorE",         // behind a number
           "_ZN2my3useILb1ELi5E2ab4nameEEvN2at1TE",    // behind numbers and names
           "_ZN2my3useILNS_4kindE12EEEvN2at1TE",       // behind a number of an enumeration
           "_ZN2my3useIL4kind12EEEvN2at1TE",           // of one without a namespace
           "_ZN2my3useILN2at4kindE2EEEvv",             // of its own
           "_ZN2my3useILPKc0EEEvN2at1TE",              // behind a null pointer
           "_ZN2my3useIL_ZNS_1fEvEEEvN2at1TE",         // behind the address of a function
           "_ZN2my3useEA12_N2at1TE",                   // an array
           "_ZZN2my3useEvENKUlN2at1TEE0_clES1_",       // in a lambda
           "_ZZN2at3useEvENKUlvE_clEv",                // a lambda in it
           "_ZZN2my3useEvE5value_0IN2at1TEE",          // behind a second name in a function
           "_ZN2myL3useEN2at1TE",                      // a function of one file
           "_ZN2my3useB5cxx11EN2at1TE",                // behind an ABI tag
           "_ZN2my3useIXsr2is5valueEEEvN2at1TE",       // behind an expression
           "_ZN2my3useIXclL_Z1fEcvbLi1EEEEEvN2at1TE",  // behind a call
           "_ZN2my3useIXilLi1ELi2EEEEEvN2at1TE",       // behind a list
           "_ZN2my3useIXtl1aLi1EEEEEvN2at1TE",         // of a type
           "_ZN2my3useIXcp1fLi1EEEEEvN2at1TE",         // behind a call that asks no namespaces
           "_ZN2my3useIXsPT_EEEEvN2at1TE",             // behind a pack's size
           "_ZN2my3useEDTfp_EN2at1TE",                 // behind the type of a parameter
           "_ZN2my3useEDTfpK1_EN2at1TE",               // of a constant one
           "_ZN2my3useEDTfL0p_EN2at1TE",               // of a function around it
           "_ZN2my3useIfLi2EEEvN2at1TE",               // behind a float and a number
           "_ZN2my3useIiEEvTL0__N2at1TE",              // behind a parameter of an outer template
           "_ZN2my3useIiiEEvT0_N2at1TE",               // behind the second parameter of a template
           "_ZN2my3useIL1TIiE5EEEvN2at1TE",            // behind a number of a template's type
           "_ZN2my3use__N2at1TE",                      // behind what tells nothing apart
           "_ZN2my3useILPA4_Kc0EEEvN2at1TE",           // behind a pointer to an array
           "_ZN2my3useEA_iN2at1TE",                    // behind an array without a size
           "_ZN2my3useECfN2at1TE",                     // behind a complex number
           "_ZN2my3useEDnN2at1TE",                     // behind a null pointer's type
           "_ZN2my3useEDF16_N2at1TE",                  // behind a float of 16 bits
           "_ZN2my3useEU5thingPiN2at1TE",              // behind a qualifier
           "_ZZN2my3useEvENUt0_3addEN2at1TE",          // in a type without a name
           "_ZZN2my3useEvE5value__12_IN2at1TEE",       // behind a twelfth name in a function
           "_ZN2my3useES0_SA_N2at1TE",                 // behind what was there before
           "_ZTch0_h4_N2at1T3useEv",   // by way of another base, with another result
           "_ZN2my3useEDv4_fN2at1TE",  // behind a vector of the machine's
           "_ZN2my3useEFvN2at1TEE",    // in a function's type
           "_ZN2my3useC2ERKN2at1TE",   // of a constructor
           "_ZThn16_N2at1T3useEv",     // by way of another base class
           "_ZTv0_n24_N2at1T3useEv",
           "_ZGVZN2my3useEvE1tN2at1TE",
       }) {
    CAPTURE(name);
    CHECK(names_namespace(name, "at"));
    CHECK_FALSE(names_namespace(name, "c10"));
  }
}

TEST_CASE("what looks like a namespace is none") {
  for (const char* name : {
           "",
           "_Z",
           "N2at4loadEv",                    // no mangled name
           "aoti_N2at",                      // a name in C
           "_ZN5my_N2at4sizeEv",             // within an identifier
           "_Z7N2at_xsv",                    //
           "_ZN7xN2atyy4loadEv",             //
           "_ZN2my2at4loadEv",               // a namespace in another one
           "_ZNSt2at4loadEv",                //
           "_ZN4atom4loadEv",                // a longer name
           "_ZN1a1tEv",                      // two names
           "_Z2atv",                         // a function
           "_Z3useN2mt1TE",                  //
           "_ZN2my3useILi2E2atEEvv",         // behind a number, of the outermost level no name
           "_ZN2my3useIL4N2at12EEEvv",       // the name of an enumeration
           "_ZN2my3useEv.N2at.constprop.0",  // what the compiler adds
           "_ZN99at4loadEv",                 // longer than the text
           "_ZN0at4loadEv",                  // empty
           "_ZN99999999999999999999999at4loadEv",
           "_ZN2my",  // cut off
           "_ZNK",
           "_ZN2myI",
           "_ZL",
           "_ZTc",
           "_ZS",
           "_ZS1",
           "_ZIL1a",
       }) {
    CAPTURE(name);
    CHECK_FALSE(names_namespace(name, "at"));
  }
}

TEST_CASE("names that are deep, long or cut off take their time and no more") {
  const std::string deep = "_Z3use" + std::string(100000, 'N');
  CHECK_FALSE(names_namespace(deep, "at"));
  CHECK_FALSE(names_namespace("_Z" + std::string(100000, 'I'), "at"));
  CHECK_FALSE(names_namespace("_Z" + std::string(100000, 'L'), "at"));
  CHECK_FALSE(names_namespace("_ZI" + std::string(100000, 'L'), "at"));
  CHECK_FALSE(names_namespace("_ZIL" + std::string(100000, 'A'), "at"));
  CHECK_FALSE(names_namespace("_ZT" + std::string(100000, 'c'), "at"));
  CHECK(names_namespace("_Z" + std::string(100000, 'P') + "N2at1TE", "at"));
  const std::string whole = "_ZN2my3useIXclL_Z1fEcvbLi1EEEEEvDv4_fA12_FvN2at1TES1_T0_E";
  for (std::size_t size = 0; size < whole.size(); ++size)
    names_namespace(whole.substr(0, size), "at");
  CHECK(names_namespace(whole, "at"));
}
