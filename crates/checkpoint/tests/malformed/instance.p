(S'id'
ios
system
.