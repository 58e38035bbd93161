"""Ordinary differential equations: the one package that calls diffrax."""
