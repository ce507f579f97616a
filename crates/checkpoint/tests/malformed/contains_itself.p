(lp0
g0
a.