# shellcheck shell=bash disable=SC2034
# Sourced: take_lock FILE waits for, then holds, a lock until the script ends.
# When it fails, the sentence to show is in lock_error.
#
# flock frees the lock by itself when the holder dies. Where it is missing
# (macOS), a folder does the same job; the caller's exit trap must then remove
# "$lockdir", and a lock whose holder is gone is taken over.

take_lock() {
	local name=$1 tries=0 holder
	lock_error=
	if command -v flock >/dev/null; then
		# The descriptor stays open, and the lock held, until the script ends.
		exec 9>"$name"
		if ! flock -n 9; then
			printf 'waiting for another run that holds %s\n' "$name" >&2
			flock -w 600 9 || {
				lock_error="$name has been held by another run for 10 minutes; stop that run and try again."
				return 1
			}
		fi
		return 0
	fi
	until mkdir "$name.d" 2>/dev/null; do
		holder=$(cat "$name.d/pid" 2>/dev/null || true)
		if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then
			rm -rf "$name.d"
			continue
		fi
		tries=$((tries + 1))
		if [ "$tries" -gt 600 ]; then
			lock_error="$name.d has been held by another run for 10 minutes; if none is running, remove that folder."
			return 1
		fi
		sleep 1
	done
	lockdir=$name.d
	echo $$ >"$name.d/pid"
}
