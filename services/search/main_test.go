//go:build services

package search_test

import (
	"testing"

	"sessionexport/services"
)

func TestMain(m *testing.M) { services.Main(m) }
