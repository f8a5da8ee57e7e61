#!/usr/bin/env bash
# Debian's kernels for cloud guests, downloaded and unpacked, not installed: kernels.sh FOLDER
#
# The newest of each suite goes to FOLDER/MAJOR.MINOR/: vmlinuz, config, and `package`, which says what it is. What is there
# stays; without anything to get, no network is needed. apt gets sources, lists, cache and status of its own in FOLDER/apt, so
# that the system's stay as they are, and nothing here needs root. One kernel that cannot be got leaves the others.
set -uo pipefail

folder=${1:?usage: kernels.sh FOLDER}
# Where the system gets Debian's packages from, unless DEBIAN_MIRROR says otherwise.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -E '/debian/?$' | head -n 1)}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
suites=(bookworm bookworm-backports sid)

say() { echo "kernels: $*"; }
complain() { echo "kernels: $*" >&2; }

# apt with everything of its own but the proxy: `at COMMAND ...`
at() {
	local command=$1
	shift
	"$command" -qq --config-file "$apt/apt.conf" "$@"
}

# The settings of `at`. Read last, they undo what the system has apt do after an update.
configure() {
	mkdir -p "$apt"/{state,lists/partial,cache/archives/partial,debs} || return
	: >"$apt/status"
	echo "deb [arch=amd64 signed-by=$keyring] $mirror $1 main" >"$apt/sources.list"
	cat >"$apt/apt.conf" <<-END
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear APT::Architectures;
		#clear APT::Default-Release;
		APT::Architecture "amd64";
		APT::Sandbox::User "$(id -un)";
		APT::Update::Error-Mode "any";
		Acquire::Languages "none";
		Acquire::Retries "2";
		Acquire::http::Timeout "30";
		Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::State "$apt/state";
		Dir::State::lists "$apt/lists";
		Dir::State::status "$apt/status";
		Dir::Cache "$apt/cache";
	END
}

# The packages of a name's `Depends` that look like this.
depends() { at apt-cache depends "$1" 2>/dev/null | sed -n 's/^ *Depends: //p' | grep -E "$2" | head -n 1; }

# Gets the newest kernel of a suite. Errors are told by whoever calls.
get() {
	local suite=$1 apt image part release new
	apt=$(realpath "$folder")/apt/$suite
	configure "$suite" || return
	at apt-get update || return
	image=$(depends linux-image-cloud-amd64 '^linux-image-[0-9]')
	[ -n "$image" ] || { complain "$suite has no linux-image-cloud-amd64"; return 1; }
	release=${image#linux-image-}
	# Newer ones are split: the image is a package that only depends on its parts.
	part=$(depends "$image" '^linux-binary-[0-9]')
	say "$suite: ${part:-$image}"
	if [ -n "$part" ]; then
		(cd "$apt/debs" && at apt-get download "$part" "linux-base-$release") || return
	else
		(cd "$apt/debs" && at apt-get download "$image") || return
	fi
	new=$apt/new
	for deb in "$apt"/debs/*.deb; do
		# Which package has which of them differs: tar complains of those that one lacks.
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$apt/cache" --wildcards --no-anchored 'vmlinuz*' 'config-*' '*/config' 2>/dev/null
	done
	mkdir -p "$new" || return
	find "$apt/cache" -type f -name 'vmlinuz*' -exec mv {} "$new/vmlinuz" \;
	find "$apt/cache" -type f -name 'config*' -exec mv {} "$new/config" \;
	[ -s "$new/vmlinuz" ] || { complain "$suite: there is no vmlinuz in ${part:-$image}"; return 1; }
	cat >"$new/package" <<-END
		suite: $suite
		package: ${part:-$image}
		version: $(dpkg-deb --field "$(find "$apt/debs" -name 'linux-image-*' -o -name 'linux-binary-*' | head -n 1)" Version)
		release: $release
	END
	local version
	version=$(grep -oE '^[0-9]+\.[0-9]+' <<<"$release") || { complain "$suite: what version is $release?"; return 1; }
	rm -rf "${folder:?}/$version" && mv "$new" "$folder/$version" && say "$suite: $folder/$version"
}

has() { grep -qsx "suite: $1" "$folder"/*/package; }

status=0
for suite in "${suites[@]}"; do
	has "$suite" && continue
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { complain "apt and dpkg are needed to get them"; exit 1; }
	[ -r "$keyring" ] || { complain "$keyring is missing: install debian-archive-keyring"; exit 1; }
	[ -n "$mirror" ] || { complain "apt has no source of Debian's packages here: set DEBIAN_MIRROR to one"; exit 1; }
	get "$suite" || { complain "the kernel of $suite could not be got"; status=1; }
	rm -rf "${folder:?}/apt/$suite"
done
rm -rf "${folder:?}/apt"
exit "$status"
