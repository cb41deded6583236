"""Finds what there is to register: registrars for notebooks, modules and entry points.

A registrar tells what is defined now; it never registers, compiles or remembers for others.
"""
