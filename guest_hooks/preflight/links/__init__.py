"""The links of the chain that a boot goes through: a module each."""
