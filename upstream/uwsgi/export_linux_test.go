package uwsgi

// Outq is how much of what was written to a socket the other side has not taken.
var Outq = outq
