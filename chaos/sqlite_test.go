package chaos

import "testing"

func TestSQLite(t *testing.T) {
	s := newService(t)
	s.start()
	s.kill()
	s.start()
	_, _, _ = newHistory(), random(seed(t), 0), loadTime(t)
	figure("sqlite: %s", bound(0))
}
