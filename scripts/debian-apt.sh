# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by the scripts that get packages of the Debian family: configures apt for a folder.
#
#   work           the folder: the system's lists, caches and hooks are neither used nor changed,
#                  and root is not needed
#   wanted_suites  the suites to look in, those of the machine if it is empty
#
# The archive's address is taken from the machine's own apt sources; candidates prints a line for
# each suite there. From then on apt-get and apt-cache use the folder.

# /etc/os-release says which family's archive the sources files talk about.
os=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}")

etc=$(apt-config shell d Dir::Etc/d)
eval "$etc"
list=$(apt-config shell f Dir::Etc::sourcelist/f)
eval "$list"
parts=$(apt-config shell p Dir::Etc::sourceparts/d)
eval "$parts"

# One line per archive and suite: URI, suite, keyring (or -).
# Both file formats; entries that are switched off and those of other formats
# (cdrom:, file: of a local repository) are left out.
machine_sources() {
	local file
	for file in "${f:-}" "${p:-}"*.list; do
		[ -r "$file" ] || continue
		awk '
			$1 == "deb" || $1 == "deb-src" {
				key = "-"; line = $0
				if (match(line, /\[[^]]*\]/)) {
					opts = substr(line, RSTART + 1, RLENGTH - 2)
					line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
					n = split(opts, o, " ")
					for (i = 1; i <= n; i++) if (o[i] ~ /^signed-by=\//) key = substr(o[i], 11)
				}
				n = split(line, w, " ")
				for (i = 4; i <= n; i++) if (w[i] == "main") print w[2], w[3], key
			}' "$file"
	done
	for file in "${p:-}"*.sources; do
		[ -r "$file" ] || continue
		awk '
			function flush(   i, j) {
				if (uris != "" && on && comps ~ /(^| )main( |$)/) {
					nu = split(uris, u, " "); ns = split(suites, s, " ")
					for (i = 1; i <= nu; i++) for (j = 1; j <= ns; j++)
						print u[i], s[j], (key ~ /^\// ? key : "-")
				}
				uris = suites = comps = key = field = ""; on = 1
			}
			BEGIN { on = 1 }
			/^#/ { next }
			/^[ \t]*$/ { flush(); next }
			/^[ \t]/ { value = $0 }
			/^[^ \t]/ {
				field = tolower($0); sub(/:.*/, "", field)
				value = $0; sub(/^[^:]*:/, "", value)
			}
			{
				gsub(/^[ \t]+|[ \t]+$/, "", value)
				if (field == "uris") uris = uris " " value
				if (field == "suites") suites = suites " " value
				if (field == "components") comps = comps " " value
				if (field == "signed-by" && key == "") key = value
				if (field == "enabled" && tolower(value) ~ /^(no|false|off|0)$/) on = 0
			}
			END { flush() }' "$file"
	done
}

# Chooses the family's main archive and prints what to put after "deb" or "deb-src".
candidates() {
	local uri suite key keyring comps
	case " $os " in
	*" ubuntu "*)
		# Ubuntu has one upstream release per suite of its own, in universe:
		# ask for every suite of the machine and let the hash decide.
		comps="main universe"
		keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg
		;;
	*)
		comps="main"
		keyring=/usr/share/keyrings/debian-archive-keyring.gpg
		;;
	esac
	machine_sources | while read -r uri suite key; do
		case $uri in http://* | https://* | mirror+http*) ;; *) continue ;; esac
		[ "$key" != - ] || [ ! -r "$keyring" ] || key=$keyring
		case " $os " in
		*" ubuntu "*)
			case ${uri%/} in */ubuntu | */ubuntu-ports) ;; *) continue ;; esac
			case $suite in *-*) continue ;; esac
			echo "$uri $suite $key $comps"
			;;
		*)
			# Security and update suites live beside the main one; third
			# parties use the same suite names under other paths.
			case ${uri%/} in */debian) ;; *) continue ;; esac
			case $suite in *-* | */*) continue ;; esac
			for suite in ${wanted_suites:-$suite}; do
				echo "$uri $suite $key $comps"
			done
			;;
		esac
	done | awk '!seen[$0]++'
}

apt=$work/apt
mkdir -p "$apt/etc/apt.conf.d" "$apt/etc/preferences.d" "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/out"
: >"$apt/status"
{
	# The user's proxies and certificates, and nothing else of the machine's
	# configuration: its hooks would run on the system's own caches.
	apt-config dump 2>/dev/null | grep -iE '^Acquire::(http|https|ftp)::' || true
	cat <<-CONF
		Dir::Etc::netrc "${d:-/etc/apt/}auth.conf";
		Dir::Etc::netrcparts "${d:-/etc/apt/}auth.conf.d";
		Dir::Etc::trusted "${d:-/etc/apt/}trusted.gpg";
		Dir::Etc::trustedparts "${d:-/etc/apt/}trusted.gpg.d";
		Dir::Etc "$apt/etc";
		Dir::State "$apt";
		Dir::State::lists "$apt/lists";
		Dir::State::status "$apt/status";
		Dir::Cache "$apt/cache";
		Acquire::Languages "none";
		Acquire::Retries "1";
		Acquire::http::Timeout "20";
		Acquire::https::Timeout "20";
		# An index that is merely old does no harm: a tarball is checked against a
		# pinned hash, and a package's version is told. Its signature is required.
		Acquire::Check-Valid-Until "false";
		APT::Sandbox::User "$(id -un)";
	CONF
} >"$apt/apt.conf"
export APT_CONFIG=$apt/apt.conf LC_ALL=C
