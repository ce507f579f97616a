c__builtin__
eval
(S'1'
tR.