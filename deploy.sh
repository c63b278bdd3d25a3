#!/bin/sh
# Every command that an operator or a developer of the Sticky Pi server needs; `sh deploy.sh help` lists them.
# POSIX sh, from any folder, without a terminal. What a command says about itself goes to standard output; only `local`
# says it on standard error, as its standard output belongs to the server.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
tools=$root/.build/tools
go_minor=26 # the oldest Go 1.x that go.work allows
golangci_version=v2.15.0
gotestsum_version=v1.13.0

say() { printf 'deploy.sh: %s\n' "$*"; }

die() {
    say "$*" >&2
    exit 1
}

misuse() {
    say "$*; 'sh deploy.sh help' lists what there is" >&2
    exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

cmd_help() {
    cat <<'HELP'
Usage: sh deploy.sh COMMAND [ARGUMENTS]

  local     run everything in one process, in the foreground, until Ctrl-C or a signal; needs Go 1.26 and nothing else
              --port N      the API's port (8080); N+2 is S3's, N+3 the metrics'
              --data DIR    where all data stands (the project's data/ folder)
              --bind ADDR   the address to listen on (127.0.0.1: this machine only)
  init      write .secret.env with strong random secrets; an existing one is checked and never changed
  lint      check the formatting and the style of all sources
  test      set up what the tests need and run every test; arguments go to `go test`
              (packages: ./server/internal/store/...; flags: -run TestUpload -count=1)
  help      this text
HELP
}

# --- Go ---------------------------------------------------------------------------------------------------------------

# new_enough VERSION: whether "go1.26.8", "go1.27rc1" or "devel go1.27-..." can build this project
new_enough() {
    case $1 in *go1.[0-9]*) ;; *) return 1 ;; esac
    minor=${1#*go1.}
    [ "${minor%%[!0-9]*}" -ge "$go_minor" ]
}

# need_go puts a Go that is new enough first in PATH. A Go that is older but can fetch a newer one for go.work will do.
need_go() {
    # a service manager may give no home, and Go then has nowhere to keep its cache
    [ -n "${HOME:-}" ] || export GOPATH="$root/.build/go" GOCACHE="$root/.build/go/cache"
    export GOWORK="$root/go.work" # whatever the caller's says
    found='it was not found'
    for go in "$(command -v go || true)" /usr/local/go/bin/go; do
        [ -x "$go" ] || continue
        if version=$(cd "$root" && "$go" env GOVERSION 2>/dev/null) && new_enough "$version"; then
            PATH=$(dirname -- "$go"):$PATH
            export PATH
            { mkdir -p "$root/.build" 2>/dev/null && [ -w "$root/.build" ]; } ||
                die "$root/.build cannot be written: own the folder (chown) or work in a copy of your own"
            return
        fi
        found="$go is $(cd / && GOWORK=off GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null || echo broken)"
    done
    die "Go 1.$go_minor or newer is needed ($found): get it from https://go.dev/dl/ and unpack it in /usr/local (giving /usr/local/go)"
}

# probe SOURCE [FLAGS]: whether the C compiler that Go would call builds the program
probe() {
    source=$1
    shift
    # CC may hold flags beside the compiler's name
    # shellcheck disable=SC2046
    printf '%s\n' "$source" | $(go env CC) -x c -o "$root/.build/probe.$$" - "$@" >/dev/null 2>&1 || return 1
    rm -f "$root/.build/probe.$$"
}

cgo_works() {
    [ "$(go env CGO_ENABLED)" = 1 ] && probe '#include <stdlib.h>
int main(void) { return 0; }'
}

turbojpeg_works() {
    cgo_works && turbojpeg=$("$(go env PKG_CONFIG)" --cflags --libs libturbojpeg 2>/dev/null) || return 1
    # $turbojpeg is a list of flags
    # shellcheck disable=SC2086
    probe '#include <turbojpeg.h>
int main(void) { return tjInitDecompress() == 0; }' $turbojpeg
}

# source_version: what is being built, for the version that the programs tell
source_version() {
    if [ -e "$root/.git" ] && have git; then
        GIT_OPTIONAL_LOCKS=0 git -C "$root" describe --always --dirty 2>/dev/null && return
    fi
    echo unknown
}

# modules: the folders of the modules of go.work
modules() {
    (cd "$root" && go work edit -json) | sed -n 's/.*"DiskPath": "\(.*\)".*/\1/p'
}

# packages: patterns for every package of every module
packages() { modules | sed 's,$,/...,'; }

# tagged_packages: the packages that are built in two ways, with and without libjpeg-turbo
tagged_packages() {
    for module in $(modules); do
        (cd "$root" && find "$module" -name '*.go' -exec grep -l '^//go:build.*turbojpeg' {} +) || true
    done | sed 's,/[^/]*$,,' | sort -u
}

# tool NAME PACKAGE VERSION: installs a program that is written in Go, unless it is there, at that version, built by this Go
tool() {
    have_build=$(go version -m "$tools/$1" 2>/dev/null || true)
    case $have_build in *": $(go env GOVERSION)"*"$3"*) return ;; esac
    say "installing $1 $3 in $tools (once; minutes on a small machine)"
    (cd / && GOBIN=$tools GOWORK=off GOFLAGS='' nice go install "$2@$3") ||
        { say "$1 $3 could not be installed: is the Go module proxy reachable (go env GOPROXY)?"; return 1; }
}

# --- local ------------------------------------------------------------------------------------------------------------

build_local() {
    if turbojpeg_works; then
        with='with libjpeg-turbo' cgo=1 tags=turbojpeg
    else
        with='in pure Go; a C compiler, pkg-config and libturbojpeg0-dev would make thumbnails three times as fast' cgo=0 tags=''
    fi
    say "building local mode ($with; the first time takes minutes)"
    (
        cd "$root"
        # two that start at once must not write the program under each other's feet
        if have flock; then
            exec 9>.build/lock
            flock 9
        fi
        # Go's own version stamp fails on a checkout of another user; ours gives "unknown"
        CGO_ENABLED=$cgo go build -buildvcs=false -tags "$tags" \
            -ldflags "-X github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo.Version=$(source_version)" \
            -o .build/sticky-pi ./services/local/cmd/sticky-pi
    ) || die "local mode could not be built: the lines above say why (a download that failed: try again)"
}

cmd_local() {
    need_go
    build_local >&2
    data=default
    for argument; do
        case $argument in --data | --data=*) data=given ;; esac
    done
    # a folder that is given is the caller's; the default one does not depend on where one stands
    [ "$data" = given ] || set -- --data "$root/data" "$@"
    exec "$root/.build/sticky-pi" "$@"
}

# --- init -------------------------------------------------------------------------------------------------------------

secret_names='SECRET_API_KEY S3_HOST S3_ACCESS_KEY S3_PRIVATE_KEY MYSQL_PASSWORD API_ADMIN_PASSWORD ADMIN_EMAIL S3_BUCKET_NAME UID_PASSWORD'

# random: 40 characters that need no quoting anywhere (238 bits)
random() {
    word=$(dd if=/dev/urandom bs=1024 count=1 2>/dev/null | LC_ALL=C tr -dc 'A-Za-z0-9' | cut -c1-40)
    [ ${#word} -eq 40 ] || die "/dev/urandom gives no random bytes: mend the system first"
    echo "$word"
}

# value_in FILE NAME: the value of a NAME=value line, without quotes
value_in() {
    sed -n "s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$2[[:space:]]*=[[:space:]]*//p" "$1" | tail -n 1 | sed "s/^[\"']//; s/[\"'[:space:]]*\$//"
}

check_secrets() {
    say "$1 is there and stays as it is"
    [ -r "$1" ] || die "$1 cannot be read: run this as its owner"
    if [ -n "$(find -L "$1" \( -perm -004 -o -perm -040 -o -perm -002 -o -perm -020 \))" ]; then
        say "$1 is open to other users: chmod 600 $1"
    fi
    missing=''
    for name in $secret_names; do
        [ -n "$(value_in "$1" "$name")$(value_in "$1" "${name}_FILE")" ] || missing="$missing $name"
    done
    [ -z "$missing" ] || die "$1 does not set$missing: add a line NAME=value for each (.secret.env.example explains them)"
    say "it sets every name that the server needs"
}

cmd_init() {
    [ $# -eq 0 ] || misuse "init takes no arguments"
    secrets=$root/.secret.env
    if [ -e "$secrets" ] || [ -L "$secrets" ]; then
        check_secrets "$secrets"
        return
    fi
    [ -w "$root" ] || die "$root cannot be written: run this as the owner of the folder"
    api_key=$(random) s3_access=$(random) s3_private=$(random) mysql=$(random) admin=$(random) worker=$(random)
    umask 077
    new=$secrets.$$
    trap 'rm -f "$new"' EXIT
    trap 'exit 1' HUP INT TERM
    cat >"$new" <<SECRETS || die "$new could not be written: is the disk full?"
# The secrets of this server, made by 'sh deploy.sh init'. Keep a copy in a safe place, and never commit this file.
# .secret.env.example explains every name.
SECRET_API_KEY=$api_key
S3_HOST=s3.\${ROOT_DOMAIN_NAME}
S3_ACCESS_KEY=$s3_access
S3_PRIVATE_KEY=$s3_private
S3_BUCKET_NAME=sticky-pi
MYSQL_PASSWORD=$mysql
API_ADMIN_PASSWORD=$admin
ADMIN_EMAIL=admin@\${ROOT_DOMAIN_NAME}
UID_PASSWORD=$worker
SECRETS
    # a link, unlike a move, never replaces a file that was made meanwhile; not every file system has links
    if ! ln "$new" "$secrets" 2>/dev/null; then
        [ ! -e "$secrets" ] || die "$secrets was made by somebody else just now and stays as it is"
        mv "$new" "$secrets"
    fi
    say "$secrets is written, with new random secrets, for you alone to read"
    say "the admin's password is the line API_ADMIN_PASSWORD; edit ADMIN_EMAIL if nobody reads mail to admin@ your domain"
}

# --- Debian packages --------------------------------------------------------------------------------------------------

can_apt() { [ "$(id -u)" -eq 0 ] && have apt-get && have dpkg; }

# apt_install PACKAGES: installs without starting a service: tests start servers of their own
apt_install() {
    say "installing with apt-get: $*"
    policy=/usr/sbin/policy-rc.d
    if [ -e $policy ]; then
        policy=''
    else
        trap 'rm -f $policy' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
    fi
    log=$root/.build/apt.log
    status=0
    (
        export DEBIAN_FRONTEND=noninteractive
        install() { apt-get -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "$@"; }
        # the package lists may be absent or old
        install "$@" || { apt-get -y -o DPkg::Lock::Timeout=300 update && install "$@"; }
    ) >"$log" 2>&1 </dev/null || status=1
    [ -z "$policy" ] || rm -f "$policy"
    [ $status -eq 0 ] || say "apt-get failed: $(grep -e '^E:' "$log" | tail -n 1) (all of it: $log)"
    return $status
}

# --- lint -------------------------------------------------------------------------------------------------------------

# sources: the files of the project, without what is built or installed
sources() {
    cd "$root"
    if [ -e .git ] && have git && git ls-files 2>/dev/null; then return; fi
    find . -type d \( -name .build -o -name node_modules -o -name data -o -name .git \) -prune -o -type f -print
}

shell_sources() {
    sources | while IFS= read -r file; do
        [ -f "$root/$file" ] || continue
        case ${file##*/} in
        *.sh) echo "$file" ;;
        *.*) ;;
        *) case $(head -n 1 "$root/$file" | tr -d '\000') in '#!'*sh) echo "$file" ;; esac ;;
        esac
    done
}

cmd_lint() {
    [ $# -eq 0 ] || misuse "lint takes no arguments"
    need_go
    failed=''

    say "gofmt"
    unformatted=$(cd "$root" && sources | grep '\.go$' | while IFS= read -r file; do [ ! -f "$file" ] || echo "$file"; done |
        xargs "$(go env GOROOT)/bin/gofmt" -l) || failed="$failed gofmt"
    if [ -n "$unformatted" ]; then
        say "not formatted (gofmt -w mends them):"
        printf '%s\n' "$unformatted"
        failed="$failed gofmt"
    fi

    say "golangci-lint"
    if tool golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint $golangci_version; then
        # patterns are lists of words
        # shellcheck disable=SC2046
        (cd "$root" && "$tools/golangci-lint" run $(packages)) || failed="$failed golangci-lint"
        tagged=$(tagged_packages)
        if [ -n "$tagged" ] && turbojpeg_works; then
            say "golangci-lint with the tag turbojpeg"
            # shellcheck disable=SC2086
            (cd "$root" && "$tools/golangci-lint" run --build-tags turbojpeg $tagged) || failed="$failed golangci-lint(turbojpeg)"
        elif [ -n "$tagged" ]; then
            say "left out: the sources with the tag turbojpeg, as a C compiler, pkg-config or libturbojpeg0-dev is missing"
        fi
    else
        failed="$failed golangci-lint"
    fi

    say "shellcheck"
    have shellcheck || { can_apt && apt_install shellcheck; } || true
    if have shellcheck; then
        # shellcheck disable=SC2046
        (cd "$root" && shellcheck $(shell_sources)) || failed="$failed shellcheck"
    else
        say "shellcheck is missing: install it (apt-get install shellcheck) and lint again"
        failed="$failed shellcheck"
    fi

    [ -z "$failed" ] || die "lint: failed:$failed"
    say "lint: passed"
}

# --- test -------------------------------------------------------------------------------------------------------------

# The programs and libraries that tests use: name, Debian packages, what cannot run without.
test_needs='cc|gcc libc6-dev|the race detector, and thumbnails by libjpeg-turbo
turbojpeg|pkg-config libturbojpeg0-dev|thumbnails by libjpeg-turbo
mariadbd|mariadb-server|tests on MariaDB
aws|awscli|tests with the AWS command-line client'

present() {
    case $1 in
    cc) cgo_works ;;
    turbojpeg) turbojpeg_works ;;
    *) have "$1" || [ -x "/usr/sbin/$1" ] || [ -x "/usr/local/sbin/$1" ] ;;
    esac
}

# missing_needs: the lines of test_needs for what is not there
missing_needs() {
    printf '%s\n' "$test_needs" | while IFS='|' read -r name debian use; do
        present "$name" </dev/null || printf '%s|%s|%s\n' "$name" "$debian" "$use"
    done
}

cmd_test() {
    need_go
    only=''
    for argument; do
        case $argument in ./* | github.com/*) only=given ;; esac
    done

    say "looking for what the tests need"
    missing=$(missing_needs)
    if [ -n "$missing" ] && can_apt; then
        # shellcheck disable=SC2046
        apt_install $(printf '%s\n' "$missing" | cut -d'|' -f2) || true
        missing=$(missing_needs)
    fi
    skipped=''
    if [ -n "$missing" ]; then
        skipped=$(printf '%s\n' "$missing" | while IFS='|' read -r name debian use; do
            echo "skipped: $use: $name is missing (on Debian or Ubuntu, as root: apt-get install $debian)"
        done)
    fi
    race='' tags=''
    if cgo_works; then race=-race; fi
    if turbojpeg_works; then tags=turbojpeg; fi

    # without gotestsum the tests run all the same, only their skips are not listed
    if tool gotestsum gotest.tools/gotestsum $gotestsum_version; then
        run_tests() { "$tools/gotestsum" --format pkgname --format-icons text --format-hide-empty-pkg -- "$@"; }
    else
        skipped="${skipped:+$skipped
}skipped: the list of skipped tests, as gotestsum could not be installed"
        run_tests() { go test "$@"; }
    fi

    cd "$root"
    failed=''
    if [ "$only" = given ]; then
        say "go test ${race:-without -race}${tags:+ -tags $tags} $*"
        run_tests $race -shuffle=on -timeout 20m -tags "$tags" "$@" </dev/null || failed=tests
    else
        all=$(packages) tagged=$(tagged_packages)
        say "go vet"
        # shellcheck disable=SC2086
        go vet -tags "$tags" $all </dev/null || failed="$failed vet"
        if [ -n "$tags" ] && [ -n "$tagged" ]; then
            # with the packages around them, which use what they choose
            users=$(printf '%s\n' "$tagged" | sed 's,\(/internal/[^/]*\)/.*,\1,; s,$,/...,' | sort -u)
            say "go test without cgo and libjpeg-turbo"
            # shellcheck disable=SC2086
            (export CGO_ENABLED=0 && run_tests -shuffle=on -timeout 20m $users "$@") </dev/null || failed="$failed tests-without-cgo"
        fi
        say "go test ${race:-without -race}${tags:+ -tags $tags}"
        # shellcheck disable=SC2086
        run_tests $race -shuffle=on -timeout 20m -tags "$tags" $all "$@" </dev/null || failed="$failed tests"
    fi

    say "summary (tests that skipped themselves are listed above, under Skipped, with their reasons)"
    [ -z "$skipped" ] || printf '%s\n' "$skipped"
    [ -z "$failed" ] || die "test: failed: ${failed# }"
    say "test: passed"
}

# ----------------------------------------------------------------------------------------------------------------------

[ $# -gt 0 ] || misuse "a command is missing"
command=$1
shift
case $command in
local) cmd_local "$@" ;;
init) cmd_init "$@" ;;
lint) cmd_lint "$@" ;;
test) cmd_test "$@" ;;
help | --help | -h) cmd_help ;;
*) misuse "no such command: $command" ;;
esac
