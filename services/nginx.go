//go:build services

package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const webServerTimeout = time.Minute // both ways; a second on a quiet machine

// NginxOptions says what nginx serves.
type NginxOptions struct {
	HTTP  string            // what the http block holds
	Files map[string][]byte // beside the configuration, by name
}

// Nginx is a running nginx.
type Nginx struct {
	dir     string
	process *Process
}

// StartNginx starts an nginx that ends with the test.
func StartNginx(tb testing.TB, o NginxOptions) *Nginx {
	tb.Helper()
	n, err := openNginx(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("nginx printed last:\n%s", n.process.Output())
		}
		if err := n.close(); err != nil {
			tb.Error(err)
		}
	})
	return n
}

func openNginx(o NginxOptions) (n *Nginx, err error) {
	binary, err := server("nginx")
	if err != nil {
		return nil, err
	}
	dir, err := WorkFolder()
	if err != nil {
		return nil, err
	}
	n = &Nginx{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	files := map[string][]byte{"nginx.conf": []byte(nginxConfiguration + o.HTTP + "\n}\n")}
	for name, content := range o.Files {
		files[name] = content
	}
	if err := writeFiles(dir, files); err != nil {
		return n, fmt.Errorf("configuring nginx: %w", err)
	}
	n.process, err = Launch(Command{
		Name: "nginx", Dir: dir,
		Args: []string{binary, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr"},
	}, " OS: ") // said when it listens
	if err != nil {
		return n, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), webServerTimeout)
	defer cancel()
	return n, n.process.Ready(ctx)
}

func (n *Nginx) close() error {
	var err error
	if n.process != nil {
		err = n.process.Terminate(webServerTimeout)
	}
	return errors.Join(err, os.RemoveAll(n.dir))
}

// nginxConfiguration keeps everything in its own folder and in one process: workers outlive a master that is killed.
const nginxConfiguration = `daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
`

// server finds the program of a server, which Debian keeps where only root looks.
func server(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path := filepath.Join("/usr/sbin", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("finding %s, run `make services-install` first: %w", name, err)
	}
	return path, nil
}

// writeFiles puts a server's files into its folder.
func writeFiles(dir string, files map[string][]byte) error {
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return GiveAway(dir)
}
