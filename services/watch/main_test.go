//go:build services

package watch_test

import (
	"testing"

	"sessionexport/services"
)

func TestMain(m *testing.M) { services.Main(m) }
