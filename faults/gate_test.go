package main

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"
)

// echo answers lines, behind a door.
func echo(t *testing.T) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					if _, err := fmt.Fprintln(c, lines.Text()); err != nil {
						return
					}
				}
			}()
		}
	}()
	d, err := newDoor(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

func ask(c net.Conn, within time.Duration) error {
	if _, err := fmt.Fprintln(c, "hello"); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	_, err := bufio.NewReader(c).ReadString('\n')
	return err
}

func TestDoor(t *testing.T) {
	d := echo(t)
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", d.at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	c := dial()
	if err := ask(c, patience); err != nil {
		t.Fatalf("an open door: %v", err)
	}
	d.silence(true)
	if err := ask(c, 50*time.Millisecond); err == nil {
		t.Error("a silent door answered")
	}
	fresh := dial()
	if err := ask(fresh, 50*time.Millisecond); err == nil {
		t.Error("a silent door answered to a new connection")
	}
	d.silence(false)
	if err := ask(fresh, patience); err != nil {
		t.Errorf("after the silence: %v", err)
	}
	d.shut()
	if err := ask(fresh, patience); err == nil {
		t.Error("a connection outlived its door")
	}
	if again, err := net.Dial("tcp", d.at); err == nil {
		_ = again.Close()
		t.Error("a door that is shut takes connections")
	}
	if err := until(t.Context(), "nobody passes", func() (bool, error) { return d.passing() == 0, nil }); err != nil {
		t.Error(err)
	}
	if err := d.unlock(); err != nil {
		t.Fatal(err)
	}
	if err := ask(dial(), patience); err != nil {
		t.Errorf("after the door was opened again: %v", err)
	}
}
