"""Arrays, compiled kernels, blocks, random streams and normals: imports nothing of raresim."""
