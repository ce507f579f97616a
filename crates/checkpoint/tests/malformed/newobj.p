€cnumpy
ndarray
).