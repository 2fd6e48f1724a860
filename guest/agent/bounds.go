package main

// What connections may take of this machine's memory: a sixteenth for what each stream has in any
// case, and two for what the host may send of all that the app has not taken, in slices that may
// be twice as large as what is in them. The host is told, and accepts no more clients at a time
// than that: others wait there. It takes a stream for over when all of it was taken, a moment
// before its goroutines are: so here are up to twice as many, half of them without data. In all
// the agent of a machine of 64 MiB takes 16 MiB at worst, however many connect and whatever they
// send; what waits in sockets of the app, the kernel bounds itself (net.ipv4.tcp_mem).
const (
	memoryPart  = 16
	streamBytes = 16 << 10 // two goroutines, the buffers of a socket without data, and the like
	mostStreams = 4096
	mostWindow  = 64 << 10
	leastWindow = 4 << 10 // of a frame, the head counts little
	leastMemory = 16 << 20
	// Pieces of what the app says that are read at a time: the port takes one after the other.
	mostPieces = 8
)

// bounds are what a session with the host keeps to.
type bounds struct {
	streams int // at a time
	window  int // bytes of a stream that the host may send ahead
}

func boundsFor(memory int) bounds {
	part := max(memory, leastMemory) / memoryPart
	streams := min(part/streamBytes, mostStreams)
	return bounds{streams, max(min(part/streams, mostWindow), leastWindow)}
}

func ownBounds() bounds { return boundsFor(numberIn("/proc/meminfo", "MemTotal:") * mebi) }
