// Empty: the precompiled headers of the test plugins hang on it.
