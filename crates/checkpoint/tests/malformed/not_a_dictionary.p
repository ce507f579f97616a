(I1
I2
t.