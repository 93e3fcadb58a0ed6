package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Peer is a program to measure: a peers/NAME/peer*.json.
type Peer struct {
	Name      string   `json:"name"`
	Cmd       string   `json:"cmd"`       // run by bash in the peer's folder
	Path      string   `json:"path"`      // endpoint, e.g. /w1 or /w1/_bulk
	Paths     []string `json:"paths"`     // of several receivers, instead of path
	Plain     bool     `json:"plain"`     // HTTP, no TLS
	Recv      []string `json:"recv"`      // receiver flags
	Needs     []string `json:"needs"`     // files that must exist ($BIN expanded), else left out
	Notes     string   `json:"notes"`     // for readers
	MaxN      int      `json:"max_n"`     // left out above this many sessions
	Group     string   `json:"group"`     // what the peer appends to $GROUP
	Instances int      `json:"instances"` // of it at the same time, 1 when absent
	Zone      []string `json:"zone"`      // applications in scope: the others' sessions must not arrive
	folder    string
}

// LoadPeers reads the peers of a folder.
func LoadPeers(folder string) ([]Peer, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*", "peer*.json"))
	if err != nil {
		return nil, err
	}
	sort.Strings(files)
	var peers []Peer
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		p := Peer{Instances: 1}
		if err := json.Unmarshal(b, &p); err != nil {
			return nil, fmt.Errorf("reading %s: %w", f, err)
		}
		if p.Name == "" || p.Cmd == "" || p.Path == "" && len(p.Paths) == 0 {
			return nil, fmt.Errorf("reading %s: name, cmd and path are required", f)
		}
		if len(p.Paths) == 0 {
			p.Paths = []string{p.Path}
		}
		if p.folder, err = filepath.Abs(filepath.Dir(f)); err != nil {
			return nil, err
		}
		peers = append(peers, p)
	}
	return peers, nil
}

// Selected tells whether a comma-separated list of patterns has the name.
func Selected(patterns, name string) bool {
	for p := range strings.SplitSeq(patterns, ",") {
		if ok, _ := filepath.Match(strings.TrimSpace(p), name); ok && p != "" {
			return true
		}
	}
	return false
}

// LeftOut tells why a peer cannot run here, and is empty when it can.
func LeftOut(p Peer, sessions int, bin string) string {
	if p.MaxN > 0 && sessions > p.MaxN {
		return fmt.Sprintf("it takes %d sessions at most", p.MaxN)
	}
	if f := p.missing(bin); f != "" {
		return "there is no " + f
	}
	return ""
}

// missing is the first file that the peer needs and that is not there.
func (p Peer) missing(bin string) string {
	for _, f := range p.Needs {
		f = os.Expand(f, func(k string) string {
			if k == "BIN" {
				return bin
			}
			return os.Getenv(k)
		})
		if _, err := os.Stat(f); err != nil {
			return f
		}
	}
	return ""
}
