"""A package only for the tests: without this file an installed package of the same name would hide the folder."""
