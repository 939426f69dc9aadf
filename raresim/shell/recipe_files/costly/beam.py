"""Deflection of a cantilever with a load at its end: reads beam.in, writes beam.out; it knows nothing of raresim."""

with open("beam.in") as file:
    given = {name: float(value) for name, value in map(str.split, file)}

stiffness = 3 * given["modulus"] * given["inertia"] / given["length"] ** 3

with open("beam.out", "w") as file:
    file.write(f"stiffness = {stiffness!r} N/m\ndeflection = {given['load'] / stiffness!r} m\n")
