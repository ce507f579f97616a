(dS'a'
Pfile
s.