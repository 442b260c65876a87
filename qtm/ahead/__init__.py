"""Compiling ahead: what a first run would wait for, made before anybody waits."""
