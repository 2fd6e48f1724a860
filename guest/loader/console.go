package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
	"unicode"
)

// What the machine and its app print goes to the enclave's console, a line at a time. A line of
// the app has appMark before it, so whatever it prints, no line of it is one of the machine's
// or of this program's: vcr reads why an app has ended there (vcr/diagnosis/facts.py).
const (
	appMark     = "app: "
	maxLine     = 4 << 10 // bytes; a longer one is more than one
	maxRepeated = 64 << 10
	drainTime   = 5 * time.Second
)

// console is where lines go, one at a time.
type console struct {
	mutex sync.Mutex
	to    io.Writer
	pumps sync.WaitGroup
}

// pipe returns an end to write to; its lines, with mark before each, are printed.
func (c *console) pipe(mark string) (*os.File, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.pumps.Add(1)
	go func() {
		defer c.pumps.Done()
		defer from.Close()
		c.print(mark, from)
	}()
	return to, nil
}

// start starts a command that prints to its files 3, the machine's console, and 4, the app's:
// vcr/sandbox/enclave_ramdisk.py.
func (c *console) start(command *exec.Cmd) error {
	for _, mark := range []string{"", appMark} {
		end, err := c.pipe(mark)
		if err != nil {
			return err
		}
		defer end.Close()
		command.ExtraFiles = append(command.ExtraFiles, end)
	}
	return command.Start()
}

// print prints until there is nothing more.
func (c *console) print(mark string, from io.Reader) {
	for lines := bufio.NewReaderSize(from, maxLine); ; {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			c.say(mark, string(line))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (c *console) say(mark, line string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	fmt.Fprintf(c.to, "%s%s\n", mark, oneLine(strings.TrimRight(line, "\r\n")))
}

// repeat prints the end of what the app printed before the snapshot.
func (c *console) repeat(log string) error {
	file, err := os.Open(log)
	if err != nil {
		return err
	}
	defer file.Close()
	status, err := file.Stat()
	if err != nil {
		return err
	}
	lines := bufio.NewReader(file)
	if rest := status.Size() - maxRepeated; rest > 0 {
		if _, err := file.Seek(rest, io.SeekStart); err != nil {
			return err
		}
		_, _ = lines.ReadString('\n') // the rest of a line
	}
	c.print(appMark, lines)
	return nil
}

// drain waits until what was printed is out, for a moment.
func (c *console) drain() {
	done := make(chan struct{})
	go func() { c.pumps.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainTime):
	}
}

// oneLine escapes what a reader could take for the end of a line, or a terminal for an order.
func oneLine(text string) string {
	var line strings.Builder
	for _, each := range text {
		if each != '\t' && (unicode.IsControl(each) || each == '\u2028' || each == '\u2029') {
			fmt.Fprintf(&line, `\u%04x`, each)
			continue
		}
		line.WriteRune(each)
	}
	return line.String()
}
