"""From a configuration and a program to the arrays that the compiled kernels run on."""
