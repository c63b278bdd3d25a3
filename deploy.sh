#!/bin/sh
# Every command that an operator or a developer of the Sticky Pi server needs; `sh deploy.sh help` lists them.
# POSIX sh, from any folder, without a terminal. What a command says about itself goes to standard output; only `local`
# says it on standard error, as its standard output belongs to the server.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
tools=$root/.build/tools
onnxruntime=$root/.build/onnxruntime
onnxruntime_version=1.30.0 # as ml/Dockerfile has it
home_page=https://github.com/sticky-pi/sticky-pi-server # as the images' labels have it
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

# word TEXT: TEXT as it is typed into a shell
word() {
    case $1 in
    *[!A-Za-z0-9_./,:@%+=-]* | '') printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")" ;;
    *) printf '%s' "$1" ;;
    esac
}

cmd_help() {
    cat <<'HELP'
Usage: sh deploy.sh COMMAND [ARGUMENTS]

  local     run everything in one process, in the foreground, until Ctrl-C or a signal; needs Go 1.26, and Node.js 20.19
            with npm for the viewer
              --port N      the API's port (8080); N+1 is the viewer's, N+2 S3's, N+3 the metrics'
              --data DIR    where all data stands (the project's data/ folder)
              --bind ADDR   the address to listen on (127.0.0.1: this machine only)
              --demo        with a few days of made-up images of three devices, in data/demo where no folder is given
  init      write .secret.env with strong random secrets; an existing one is checked and never changed
  on a server, with Docker (.env and .secret.env are the settings):
  doctor            check this machine and the settings; a line for each, FAIL with what to do; exit 1 on a failure
  prod-init         get the HTTPS certificates; again at any time, --force: even if those there are valid
  prod              build and start, or update, everything; data stays, and is backed up before a migration
                    --pull: on the newest public images (nginx, MariaDB, certbot, and those that ours are built on)
  devel             the same on plain HTTP at localhost, with data of its own
  down [prod|devel] stop everything, and say what; data stays. Where both are up, it has to be said which;
                    on a terminal, a plain down asks before it stops production
  status            what is running, whether the API reaches what it needs, until when the certificates are valid; exit 1
                    if something is not well
  logs [SERVICE]    the end of the logs: api, webapp, uid, nginx, db, s3, certbot; -f: follow
  scale api=N uid=N so many replicas of the API, of the insect detector
  mysql-prompt      a MariaDB shell
  mysql-backup [DIR]       dump the database into this (or that) folder, while it is in use
  mysql-restore FILE       put such a dump in the place of the database's content; asks, or takes --yes; --no-migrate: for an
                           older version that is checked out next
  verify-backup FILE       restore a dump into a throw-away server and compare
  s3-backup DIR            copy what is new in the bucket into a folder; interrupted, it goes on
  s3-restore DIR           put what the bucket lacks back from there; asks, or takes --yes
  fsck              objects without rows, rows without objects; --deep: wrong checksums too; --repair; exit 1 if faults remain
  forget-version    let images count by the version of the insect detector that asks next, after going back to an older one
  user list         the accounts
  user add NAME     make one; [--admin | --read-only] [--email ADDRESS]; asks for the password, or reads it from a pipe
  user reset NAME   give it a new password
  user delete NAME  delete it

  build-client [OS-ARCH...]  build the command-line client spi (docs/CLIENT.md) into .build/dist, with SHA256SUMS; without
              arguments for linux-amd64, linux-arm64, linux-armv7, darwin-amd64, darwin-arm64 and windows-amd64
  lint      check the formatting and the style of all sources
  test      set up what the tests need and run every test; arguments go to `go test`
              (packages: ./server/internal/store/...; flags: -run TestUpload -count=1)
  screenshots DIR [URL]    pictures of every page of the viewer, to look at; needs Chromium and the real data. With the
                           URL of a running demonstration: those of docs/screenshots (docs/VIEWER.md)
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

# experiment: the Go experiment that the detector's vector kernels need, where there are any
experiment() {
    case $(go env GOARCH) in amd64) echo simd ;; esac
}

# source_version: what is being built, for the version that the programs tell. -dirty says that sources were changed; .env is
# there to be changed, and part of no program.
source_version() {
    version=unknown
    if [ -e "$root/.git" ] && have git && version=$(read_git describe --always); then
        read_git diff --quiet HEAD -- . ':(exclude).env' || version=$version-dirty
    fi
    printf '%s\n' "${version:-unknown}"
}

# read_git ARGUMENTS: git on the sources, whoever owns them: root runs what another user has cloned, this file first of all
read_git() { GIT_OPTIONAL_LOCKS=0 git -c safe.directory="$root" -C "$root" "$@" 2>/dev/null; }

# modules: the folders of the modules of go.work
modules() {
    (cd "$root" && go work edit -json) | sed -n 's/.*"DiskPath": "\(.*\)".*/\1/p'
}

# packages: patterns for every package of every module
packages() { modules | sed 's,$,/...,'; }

# tagged_packages TAG: the packages that are built in two ways, with and without libjpeg-turbo (turbojpeg), onnxruntime (onnx),
# vector kernels (goexperiment.simd)
tagged_packages() {
    for module in $(modules); do
        (cd "$root" && find "$module" -name '*.go' -exec grep -l "^//go:build.*$1" {} +) || true
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

# --- the viewer's pages --------------------------------------------------------------------------------------------------

web=$root/services/webapp/web

# node_works: whether there is a Node.js with npm that can build the pages (20.19, 22.12 or newer)
node_works() {
    have npm && node_version=$(node --version 2>/dev/null) || return 1
    node_version=${node_version#v}
    node_major=${node_version%%.*} node_minor=${node_version#*.}
    node_minor=${node_minor%%.*}
    case $node_major in
    20) [ "$node_minor" -ge 19 ] ;;
    22) [ "$node_minor" -ge 12 ] ;;
    *) [ "$node_major" -ge 23 ] 2>/dev/null ;;
    esac
}

# sum_of FILES: one number for the names and contents of files and folders
sum_of() { (cd "$web" && find "$@" -type f -exec cksum {} + | LC_ALL=C sort | cksum); }

# build_viewer makes services/webapp/web/dist, unless nothing has changed since. Fails, with a line that says why.
build_viewer() {
    if ! node_works; then
        say "the viewer's pages are not built: Node.js 20.19 or newer with npm is missing (on Debian: apt-get install nodejs npm; else https://nodejs.org)"
        return 1
    fi
    (
        if have flock; then
            exec 9>"$root/.build/viewer.lock"
            flock 9
        fi
        sources=$(sum_of src public index.html package.json package-lock.json tsconfig.json vite.config.ts)
        stamp=$root/.build/viewer.built packages=$root/.build/viewer.packages
        if [ -f "$web/dist/index.html" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sources" ]; then exit 0; fi
        rm -f "$stamp"
        cd "$web"
        lock=$(sum_of package.json package-lock.json)
        if ! [ -d node_modules ] || [ "$(cat "$packages" 2>/dev/null)" != "$lock" ]; then
            say "the viewer's pages: getting the packages (npm ci)"
            npm ci --no-audit --no-fund --loglevel=error || exit 1
            echo "$lock" >"$packages"
        fi
        say "the viewer's pages: building"
        npm run --silent build >"$root/.build/viewer.log" 2>&1 || { cat "$root/.build/viewer.log"; exit 1; }
        echo "$sources" >"$stamp"
    ) </dev/null || { say "the viewer's pages could not be built: the lines above say why (a download that failed: try again)"; return 1; }
}

# --- local ------------------------------------------------------------------------------------------------------------

build_local() {
    if turbojpeg_works; then
        with='with libjpeg-turbo' cgo=1 tags=turbojpeg
    else
        with='in pure Go; a C compiler, pkg-config and libturbojpeg0-dev would make thumbnails three times as fast' cgo=0 tags=''
    fi
    if [ -e "$onnxruntime/libonnxruntime.so.1" ] && cgo_works; then cgo=1 tags=$tags${tags:+,}onnx; fi
    say "building local mode ($with; the first time takes minutes)"
    (
        cd "$root"
        # two that start at once must not write the program under each other's feet
        if have flock; then
            exec 9>.build/lock
            flock 9
        fi
        # Go's own version stamp fails on a checkout of another user; ours gives "unknown"
        CGO_ENABLED=$cgo GOEXPERIMENT=$(experiment) go build -buildvcs=false -tags "$tags" \
            -ldflags "-X github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo.Version=$(source_version)" \
            -o .build/sticky-pi ./services/local/cmd/sticky-pi
    ) || die "local mode could not be built: the lines above say why (a download that failed: try again)"
}

cmd_local() {
    need_go
    build_viewer >&2 || say "going on without the viewer" >&2
    build_local >&2
    data=$root/data
    for argument; do
        # made-up images are not put among somebody's own
        case $argument in --demo) [ -z "$data" ] || data=$root/data/demo ;; --data | --data=*) data='' ;; esac
    done
    # a folder that is given is the caller's; the default one does not depend on where one stands
    [ -z "$data" ] || set -- --data "$data" "$@"
    exec "$root/.build/sticky-pi" "$@"
}

# --- client -----------------------------------------------------------------------------------------------------------

cmd_build_client() {
    [ $# -gt 0 ] || set -- linux-amd64 linux-arm64 linux-armv7 darwin-amd64 darwin-arm64 windows-amd64
    need_go
    # what stands there stays until all of this is built
    dist=$root/.build/dist new=$root/.build/dist.new version=$(source_version)
    rm -rf "$new"
    mkdir -p "$new"
    for target; do
        os=${target%-*} arch=${target##*-} suffix='' arm=''
        case $arch in armv[567]) arm=${arch#armv} arch=arm ;; esac
        case $os in windows) suffix=.exe ;; esac
        say "building spi for $target"
        (
            cd "$root"
            CGO_ENABLED=0 GOOS=$os GOARCH=$arch GOARM=$arm go build -buildvcs=false -trimpath \
                -ldflags "-s -w -X github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo.Version=$version" \
                -o "$new/spi-$target$suffix" ./services/spi/cmd/spi
        ) || die "spi for $target could not be built: the lines above say why (targets are written as linux-amd64)"
    done
    (cd "$new" && { sha256sum spi-* 2>/dev/null || shasum -a 256 spi-*; } >SHA256SUMS)
    rm -rf "$dist"
    mv "$new" "$dist"
    say "in $dist:"
    (cd "$dist" && ls)
}

# --- init -------------------------------------------------------------------------------------------------------------

secret_names='SECRET_API_KEY S3_HOST S3_ACCESS_KEY S3_PRIVATE_KEY MYSQL_PASSWORD API_ADMIN_PASSWORD ADMIN_EMAIL S3_BUCKET_NAME UID_PASSWORD'

# random: 40 characters that need no quoting anywhere (238 bits)
random() {
    word=$(dd if=/dev/urandom bs=1024 count=1 2>/dev/null | LC_ALL=C tr -dc 'A-Za-z0-9' | cut -c1-40)
    [ ${#word} -eq 40 ] || die "/dev/urandom gives no random bytes: mend the system first"
    echo "$word"
}

# value_in FILE NAME: the value of the last NAME=value line: what stands between quotes, or else up to a blank and a #
value_in() {
    line=$(sed -n "s/\r\$//; s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$2[[:space:]]*=[[:space:]]*//p" "$1" | tail -n 1)
    case $line in
    "'"*"'"*) line=${line#?} line=${line%%"'"*} ;;
    '"'*'"'*) line=${line#?} line=${line%%'"'*} ;;
    *) line=$(printf '%s\n' "$line" | sed 's/^#.*//; s/[[:space:]]#.*//; s/[[:space:]]*$//') ;;
    esac
    printf '%s\n' "$line"
}

check_secrets() {
    say "$1 is there and stays as it is"
    [ -r "$1" ] || die "$1 cannot be read: run this as its owner"
    if [ -n "$(find -L "$1" \( -perm -004 -o -perm -040 -o -perm -002 -o -perm -020 \))" ]; then
        say "$1 is open to other users: chmod 600 $(word "$1")"
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

# --- production: settings ---------------------------------------------------------------------------------------------

# these are taken as they are written: a dollar sign in a password is a dollar sign
verbatim=' SECRET_API_KEY S3_ACCESS_KEY S3_PRIVATE_KEY MYSQL_PASSWORD API_ADMIN_PASSWORD UID_PASSWORD '

# expand TEXT: TEXT with the variables that it names by ${NAME}
expand() {
    text=$1
    for _ in 1 2 3 4 5 6 7 8; do
        case $text in *"\${"*"}"*) ;; *) break ;; esac
        after=${text#*"\${"}
        inner=${after%%"}"*}
        case $inner in '' | [0-9]* | *[!A-Za-z0-9_]*) break ;; esac
        text=${text%%"\${"*}$(eval "printf '%s' \"\${$inner:-}\"")${after#*"}"}
    done
    printf '%s\n' "$text"
}

# digest: the SHA-256 of the standard input
digest() { { sha256sum 2>/dev/null || shasum -a 256; } | cut -d' ' -f1; }

# load_settings exports what .env and .secret.env set, and what follows from it. What the environment sets goes first. This,
# and no reader of docker compose's, is what the services get.
load_settings() {
    for file in .env .secret.env; do
        [ ! -e "$root/$file" ] || [ -r "$root/$file" ] || die "$file cannot be read: run this as its owner"
    done
    # the settings before the secrets, which may name them
    for file in .env .secret.env; do
        [ -r "$root/$file" ] || continue
        names=$(sed -n 's/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}\([A-Za-z_][A-Za-z0-9_]*\)[[:space:]]*=.*/\2/p' "$root/$file")
        for name in $names; do
            [ -z "$(eval "printf '%s' \"\${$name:-}\"")" ] || continue
            value=$(value_in "$root/$file" "$name")
            case $verbatim in *" $name "*) ;; *) value=$(expand "$value") ;; esac
            export "$name=$value"
        done
    done
    for name in $secret_names; do
        path=$(eval "printf '%s' \"\${${name}_FILE:-}\"")
        if [ -n "$path" ] && [ -z "$(eval "printf '%s' \"\${$name:-}\"")" ]; then
            [ -r "$path" ] || die "${name}_FILE: $path cannot be read: name a file that holds the value"
            export "$name=$(cat "$path")"
        fi
    done
    export MYSQL_HOST="${MYSQL_HOST:-spi_db}" MYSQL_DATABASE="${MYSQL_DATABASE:-sticky-pi}" MYSQL_USER="${MYSQL_USER:-sticky-pi}"
    export ROOT_DOMAIN_NAME="${ROOT_DOMAIN_NAME:-}" S3_HOST="${S3_HOST:-}"
    # seals the viewer's sessions: it must not know the key itself
    WEBAPP_SECRET=${WEBAPP_SECRET:-$(printf 'sticky-pi viewer %s' "${SECRET_API_KEY:-}" | digest)}
    export WEBAPP_SECRET
    LOCAL_VOLUME_ROOT=${LOCAL_VOLUME_ROOT:-/opt/sticky-pi-server}
    case $LOCAL_VOLUME_ROOT in /*) ;; *) LOCAL_VOLUME_ROOT=$root/${LOCAL_VOLUME_ROOT#./} ;; esac
    export LOCAL_VOLUME_ROOT
}

# local_db, local_s3: whether the database, or S3, is the stack's own
local_db() { [ "$MYSQL_HOST" = spi_db ]; }
local_s3() { [ "$mode" = devel ] || [ "$S3_HOST" = "s3.$ROOT_DOMAIN_NAME" ]; }

# bundle_fault: what is wrong with ACME_CA_BUNDLE; docker would make a folder of a path that is not there
bundle_fault() {
    case ${ACME_CA_BUNDLE:-} in
    '') ;;
    /*) [ -f "$ACME_CA_BUNDLE" ] || echo "ACME_CA_BUNDLE is '$ACME_CA_BUNDLE', and there is no such file: name the authority's root certificate in .env" ;;
    *) echo "ACME_CA_BUNDLE is '$ACME_CA_BUNDLE': write the file's whole path, from / on, into .env" ;;
    esac
}

need_secrets() { [ -e "$root/.secret.env" ] || die "there is no .secret.env: 'sh deploy.sh init' writes it"; }

# check_settings refuses what the services would refuse, before anything is built or stopped
check_settings() {
    need_secrets
    wrong=''
    for name in $secret_names; do
        value=$(eval "printf '%s' \"\${$name:-}\"")
        if [ -z "$value" ]; then
            say "$name is not set: add it to .secret.env (.secret.env.example explains it)" >&2
            wrong=yes
        fi
    done
    for name in SECRET_API_KEY MYSQL_PASSWORD API_ADMIN_PASSWORD UID_PASSWORD; do
        value=$(eval "printf '%s' \"\${$name:-}\"")
        if [ -n "$value" ] && [ ${#value} -lt 11 ]; then
            say "$name is shorter than 11 characters: choose a longer one in .secret.env" >&2
            wrong=yes
        fi
    done
    if [ "$mode" = prod ]; then
        case $ROOT_DOMAIN_NAME in
        '' | example.org)
            say "ROOT_DOMAIN_NAME is not set: write your domain into .env" >&2
            wrong=yes
            ;;
        *[!a-z0-9.-]* | .* | *..* | *.)
            say "ROOT_DOMAIN_NAME is '$ROOT_DOMAIN_NAME': write a domain in small letters, such as example.org, into .env" >&2
            wrong=yes
            ;;
        esac
        fault=$(bundle_fault)
        if [ -n "$fault" ]; then
            say "$fault" >&2
            wrong=yes
        fi
    fi
    [ -z "$wrong" ] || die "the settings must be mended first: the lines above say how"
}

# --- production: docker compose ---------------------------------------------------------------------------------------

# need_compose finds docker compose, as a plugin or a program of its own
need_compose() {
    have docker || die "Docker is needed: see https://docs.docker.com/engine/install/"
    docker info >/dev/null 2>&1 || die "the Docker engine does not answer: start it (systemctl start docker), or run this as a user who may use it"
    if version=$(docker compose version --short 2>/dev/null); then
        compose_program='docker compose'
    elif version=$(docker-compose version --short 2>/dev/null); then
        compose_program=docker-compose
    else
        die "docker compose is needed: see https://docs.docker.com/compose/install/"
    fi
    version=${version#v}
    major=${version%%.*} minor=${version#*.}
    minor=${minor%%.*}
    { [ "$major" -gt 2 ] || { [ "$major" -eq 2 ] && [ "$minor" -ge 21 ]; }; } 2>/dev/null ||
        die "docker compose 2.21 or newer is needed, and this is $version: see https://docs.docker.com/compose/install/"
}

# use_stack MODE: prod or devel; what every command that talks to the stack begins with
use_stack() {
    mode=$1
    if [ "$mode" = devel ]; then
        # before the files: devel keeps away from what production uses
        export DEVEL=true LOCAL_VOLUME_ROOT="${DEVEL_VOLUME_ROOT:-$root/data/devel}" ROOT_DOMAIN_NAME=localhost
        export MYSQL_HOST=spi_db MYSQL_PORT=3306
        load_settings
        S3_HOST=localhost:${DEVEL_S3_PORT:-8082}
        export S3_HOST S3_INTERNAL_URL=http://spi_s3:7070
        export COMPOSE_PROJECT_NAME="${COMPOSE_PROJECT_NAME:-sticky-pi}-devel"
    else
        load_settings
        export COMPOSE_PROJECT_NAME="${COMPOSE_PROJECT_NAME:-sticky-pi}"
    fi
    profiles=''
    if local_db; then profiles=db; fi
    if local_s3; then profiles=$profiles${profiles:+,}s3; fi
    STICKY_PI_VERSION=$(source_version)
    NGINX_FILES_SUM=$(cat "$root"/nginx/* | cksum | tr ' ' -)
    export COMPOSE_PROFILES="$profiles" DOCKER_BUILDKIT=1 STICKY_PI_VERSION NGINX_FILES_SUM
    [ -t 2 ] || export COMPOSE_ANSI=never
    need_compose
}

# containers_of PROJECT: the ids of its containers, running or not
containers_of() { docker ps -aq --filter "label=com.docker.compose.project=$1" --filter label=com.docker.compose.oneoff=False; }

# find_stacks: which of prod and devel have containers, running or not, into the variable stacks
find_stacks() {
    # .env may set the name, and is read for good by use_stack
    project=$(load_settings && printf '%s' "${COMPOSE_PROJECT_NAME:-sticky-pi}")
    stacks=''
    have docker || return 0
    [ -z "$(containers_of "$project" 2>/dev/null)" ] || stacks=prod
    [ -z "$(containers_of "$project-devel" 2>/dev/null)" ] || stacks="$stacks${stacks:+ }devel"
}

# use_running_stack: production's, or devel's where only that is there
use_running_stack() {
    need_secrets
    find_stacks
    case $stacks in
    devel) use_stack devel ;;
    *' '*)
        say "production and devel are both up: this is about production" >&2
        use_stack prod
        ;;
    *) use_stack prod ;;
    esac
}

compose() {
    # $compose_program may be two words; no env file, as load_settings has read them
    # shellcheck disable=SC2086
    (cd "$root" && $compose_program --env-file /dev/null -f docker-compose.yml -f "docker-compose.$mode.yml" "$@")
}

# service NAME: a service by its name, or by the short one that operators use
service() {
    case $1 in
    certbot | spi_*) echo "$1" ;;
    mysql | mariadb) echo spi_db ;;
    *) echo "spi_$1" ;;
    esac
}

need_running() {
    [ -n "$(compose ps -q --status running "$1" 2>/dev/null)" ] || die "$1 is not running: start the stack with 'sh deploy.sh $mode'"
}

# states [SERVICE ...]: a line "SERVICE STATUS HEALTH" for each container
states() {
    ids=$(compose ps -a -q "$@")
    [ -n "$ids" ] || return 0
    # shellcheck disable=SC2086
    docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' $ids
}

# plain: a log without what compose puts before each line for terminals, whether it writes to one or not
plain() { tr -d '\033' | sed 's/^\[2K//'; }

give_up() {
    say "$1 $2; the end of its log:" >&2
    compose logs --no-color --tail 40 "$1" 2>&1 | plain >&2
    die "the stack is not healthy: $1 $2"
}

# wait_healthy [SERVICE ...]: waits until every container is healthy; shows the log of one that fails and exits 1
wait_healthy() {
    waited=0 limit=${START_SECONDS:-600} fell=''
    while :; do
        now=$(states "$@")
        waiting=''
        while read -r name status health; do
            [ -n "$name" ] || continue
            case $status,$health in
            running,healthy | running,none) ;;
            *,unhealthy) give_up "$name" 'is unhealthy' ;;
            exited,* | dead,* | restarting,*)
                # the engine starts it again; once is a hiccup
                fell="$fell $name"
                # shellcheck disable=SC2086
                [ "$(printf '%s\n' $fell | grep -cx "$name")" -lt 4 ] || give_up "$name" 'ends as soon as it starts'
                waiting="$waiting $name"
                ;;
            *) waiting="$waiting $name" ;;
            esac
        done <<STATES
$now
STATES
        [ -n "$waiting" ] || return 0
        [ "$waited" -lt "$limit" ] || give_up "${waiting##* }" "is not healthy after $limit seconds"
        [ $((waited % 15)) -ne 14 ] || say "waiting for$waiting"
        sleep 1
        waited=$((waited + 1))
    done
}

# prepare_folders makes the folders that the containers keep their data in, and gives ours to the users they run as. A
# container does it, so that whoever may use Docker may deploy.
prepare_folders() {
    say "data is kept in $LOCAL_VOLUME_ROOT"
    # shellcheck disable=SC2016
    docker run --rm --network none --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER \
        -v "$LOCAL_VOLUME_ROOT:/v" --entrypoint sh "${NGINX_IMAGE:-nginx:stable}" -euc '
        mkdir -p /v/mysql /v/s3 /v/tmp /v/uid /v/backup /v/data/certbot/conf /v/data/certbot/www
        # the folder itself last: what was interrupted is done again
        for dir in /v/s3 /v/tmp /v/uid; do
            [ "$(stat -c %u $dir)" != 10001 ] || continue
            find $dir -mindepth 1 ! -user 10001 -exec chown -h 10001:10001 {} +
            chmod 750 $dir
            chown 10001:10001 $dir
        done
        chmod 700 /v/backup
        chown "$1" /v/backup' sh "$(id -u):$(id -g)" ||
        die "the folders below $LOCAL_VOLUME_ROOT could not be made: is the disk full or read-only?"
}

# build_images: $pull is --pull or nothing
build_images() {
    say "building the images (the first time takes minutes)"
    if [ -t 1 ]; then
        # shellcheck disable=SC2086
        compose build $pull || die "the images could not be built: the lines above say why (a download that failed: try again)"
        return
    fi
    # hundreds of lines, for nobody's eyes
    log=$root/.build/images.log
    # shellcheck disable=SC2086
    compose build $pull >"$log" 2>&1 || {
        tail -n 60 "$log" >&2
        die "the images could not be built: the lines above say why (a download that failed: try again); all of it is in $log"
    }
}

# drop_old_images: each update leaves the images of before behind, and they fill the disk. What is built again comes from the
# engine's cache.
drop_old_images() {
    docker image prune --force --filter "label=org.opencontainers.image.source=$home_page" >/dev/null 2>&1 ||
        say "images of older versions could not be taken away: 'docker image prune' does it" >&2
}

# --- production: database ---------------------------------------------------------------------------------------------

# in_database COMMAND: runs a shell command where MariaDB's programs are; $db_login in it is the account, whose password is in
# their environment
# shellcheck disable=SC2016
db_login='--protocol=tcp --skip-ssl-verify-server-cert -h "${MYSQL_HOST:-127.0.0.1}" -P "${MYSQL_PORT:-3306}" -u "$MARIADB_USER"'
in_database() {
    if local_db; then
        # shellcheck disable=SC2016
        compose exec -T spi_db sh -c 'export MYSQL_PWD="$MARIADB_PASSWORD"; '"$1"
    else
        # shellcheck disable=SC2016
        MARIADB_USER=$MYSQL_USER MARIADB_DATABASE=$MYSQL_DATABASE MYSQL_PWD=$MYSQL_PASSWORD \
            docker run --rm -i --network host -e MYSQL_HOST -e MYSQL_PORT -e MARIADB_USER -e MARIADB_DATABASE -e MYSQL_PWD \
            --entrypoint sh "${MARIADB_IMAGE:-mariadb:11.8}" -c "$1"
    fi
}

# dump_database FILE: a consistent dump, while the database is in use; the file is there only when it is whole
dump_database() {
    rm -f "$1.new"
    # the dump's last line says that it is whole, whatever became of the programs in between
    if (umask 077 && in_database "mariadb-dump $db_login --single-transaction --quick --routines --triggers --hex-blob \"\$MARIADB_DATABASE\"" | gzip >"$1.new") &&
        gzip -dc "$1.new" | tail -n 1 | grep -q '^-- Dump completed'; then
        mv "$1.new" "$1"
    else
        rm -f "$1.new"
        return 1
    fi
}

# migrate_database brings the database to the version of the image that was built, after a backup. The API stands still
# meanwhile, so that the backup lacks nothing that was acknowledged; clients wait and try again.
migrate_database() {
    if local_db; then
        compose up -d --no-deps spi_db || die "the database could not be started"
        wait_healthy spi_db
    fi
    tries=0
    until answer=$(compose run --rm -T --no-deps spi_api pending 2>"$root/.build/pending.log"); do
        tries=$((tries + 1))
        if [ $tries -ge 5 ]; then
            cat "$root/.build/pending.log" >&2
            die "the database cannot be asked for its version: the lines above say why"
        fi
        sleep 2
    done
    [ "$answer" = pending ] || return 0
    tables=$(in_database "mariadb $db_login -N -e 'SHOW TABLES' \"\$MARIADB_DATABASE\"") || die "the database does not list its tables"
    if [ -n "$tables" ]; then
        backup=$LOCAL_VOLUME_ROOT/backup/before-migration.$(date +%Y-%m-%d_%H-%M-%S).sql.gz
        say "the database is of an older version: first a backup, $backup"
        compose stop spi_api || die "the API could not be stopped for the backup: nothing was migrated"
        dump_database "$backup" || {
            # its container is still of the version before
            compose start spi_api || true
            die "the backup failed, and so nothing was migrated; the API of before goes on. Is the disk full?"
        }
    fi
    say "migrating the database"
    compose run --rm -T --no-deps spi_api migrate ||
        die "the migration failed: the lines above say why. Run it again; to go back, restore ${backup:-nothing: the database was empty}"
}

# --- production: commands ---------------------------------------------------------------------------------------------

# start_stack [--pull]: builds, migrates and starts everything
start_stack() {
    pull=${1:-}
    check_settings
    mkdir -p "$root/.build"
    prepare_folders
    if [ -n "$pull" ]; then
        say "getting the newest public images"
        compose pull --quiet --ignore-buildable || die "the public images could not be fetched: the lines above say why; what runs goes on"
    fi
    build_images
    migrate_database
    # as many replicas as there are, those that are stopped or fell among them
    scales=''
    for name in spi_api spi_uid; do
        replicas=$(compose ps -a -q $name | wc -l)
        if [ "$replicas" -gt 1 ]; then scales="$scales --scale $name=$((replicas))"; fi
    done
    say "starting the services"
    ports="HTTP_PORT, HTTPS_PORT"
    [ "$mode" = prod ] || ports="API_PORT, WEBAPP_PORT, DEVEL_S3_PORT"
    # $scales is a list of options
    # shellcheck disable=SC2086
    compose up -d --remove-orphans $scales || die "the services could not be started: the lines above say why (a port in use is changed in .env: $ports)"
    # those that an earlier setting had started
    if ! local_s3; then COMPOSE_PROFILES=s3 compose rm --stop --force spi_s3 >/dev/null 2>&1 || true; fi
    if ! local_db; then COMPOSE_PROFILES=db compose rm --stop --force spi_db >/dev/null 2>&1 || true; fi
    wait_healthy
    drop_old_images
}

# certificate_names: the names of the certificate, the first being the one it is filed under
certificate_names() {
    echo "$ROOT_DOMAIN_NAME"
    for sub in www api webapp; do echo "$sub.$ROOT_DOMAIN_NAME"; done
    if local_s3; then echo "s3.$ROOT_DOMAIN_NAME"; fi
}

# serves_certificate: whether the web server uses the certificate that certbot keeps
serves_certificate() {
    compose exec -T spi_nginx cmp -s "/etc/letsencrypt/live/$ROOT_DOMAIN_NAME/fullchain.pem" /run/certificate/served.pem 2>/dev/null
}

cmd_prod_init() {
    force=''
    case $*,$# in ,0) ;; --force,1) force=--force-renewal ;; *) misuse "prod-init takes --force and nothing else" ;; esac
    use_stack prod
    check_settings
    prepare_folders
    say "starting the web server"
    compose up -d --no-deps spi_nginx || die "the web server could not be started: are ports ${HTTP_PORT:-80} and ${HTTPS_PORT:-443} free?"
    wait_healthy spi_nginx

    # shellcheck disable=SC2046
    set -- $(certificate_names)
    acme_server=${ACME_SERVER:-https://acme-v02.api.letsencrypt.org/directory}
    say "asking $acme_server for a certificate of $*"
    # A certificate that another authority gave (a staging one, say) is replaced. One that certbot does not know, made by
    # hand, is put aside.
    # shellcheck disable=SC2016
    compose run --rm -T --no-deps --entrypoint sh certbot -euc '
        server=$1 email=$2 force=$3 name=$4
        shift 3
        conf=/etc/letsencrypt/renewal/$name.conf
        if [ -e "$conf" ]; then
            grep -qxF "server = $server" "$conf" || force=--force-renewal
        elif [ -e "/etc/letsencrypt/live/$name" ]; then
            mv "/etc/letsencrypt/live/$name" "/etc/letsencrypt/live/$name.$(date +%s)"
        fi
        for domain; do set -- "$@" -d "$domain"; shift; done
        exec certbot certonly --non-interactive --agree-tos --email "$email" --no-eff-email --server "$server" \
            --webroot --webroot-path /var/www/certbot --cert-name "$name" --keep-until-expiring --renew-with-new-domains $force "$@"
        ' sh "$acme_server" "$ADMIN_EMAIL" "$force" "$@" </dev/null ||
        die "there is no certificate: the lines above say why. Each of these names must point here, and port 80 be open: $*"

    say "waiting for the web server to take it"
    waited=0
    until serves_certificate; do
        [ $waited -lt 60 ] || die "the web server does not take the new certificate: see 'sh deploy.sh logs nginx'"
        sleep 1
        waited=$((waited + 1))
    done
    say "the certificate is in use, and is renewed by itself as long as the stack is up; 'sh deploy.sh prod' starts everything else"
}

cmd_prod() {
    case $#,$* in 0, | 1,--pull) ;; *) misuse "prod takes --pull and nothing else" ;; esac
    use_stack prod
    start_stack "$@"
    say "everything is healthy: https://webapp.$ROOT_DOMAIN_NAME, API https://api.$ROOT_DOMAIN_NAME"
    say_login
    compose exec -T spi_nginx test -e "/etc/letsencrypt/live/$ROOT_DOMAIN_NAME/fullchain.pem" ||
        say "there is no certificate yet: 'sh deploy.sh prod-init' gets one"
}

cmd_devel() {
    [ $# -eq 0 ] || misuse "devel takes no arguments"
    use_stack devel
    start_stack
    say "everything is healthy: viewer http://localhost:${WEBAPP_PORT:-8081}, API http://localhost:${API_PORT:-8080}, S3 http://$S3_HOST; data in $LOCAL_VOLUME_ROOT"
    say_login
}

say_login() { say "the administrator is ${API_ADMIN_NAME:-admin}, with the password API_ADMIN_PASSWORD of .secret.env unless it was changed since"; }

cmd_down() {
    case $#,$* in 0, | 1,prod | 1,devel) ;; *) misuse "down takes prod or devel, or nothing where only one of them is up" ;; esac
    need_secrets
    need_compose
    find_stacks
    if [ $# -eq 0 ]; then
        case $stacks in
        '')
            say "nothing is up"
            return 0
            ;;
        *' '*) die "production and devel are both up, and nothing was stopped: 'sh deploy.sh down devel' stops devel, 'sh deploy.sh down prod' stops production" ;;
        esac
        # another checkout's is nobody's who types this here
        place=$(place_of "$stacks")
        [ -z "$place" ] || die "nothing is up from here, and nothing was stopped: $stacks was started in $place. Either of these stops it: sh $(word "$place/deploy.sh") down; sh deploy.sh down $stacks"
        set -- "$stacks" ask
    fi
    use_stack "$1"
    # scripts say what they mean; a hand may have meant devel
    if [ "${2:-}" = ask ] && [ "$1" = prod ] && [ -t 0 ]; then
        yes=''
        confirm "Stop production, $ROOT_DOMAIN_NAME?"
    fi
    services=$(labels_of "$COMPOSE_PROJECT_NAME" service | tr '\n' ' ')
    if [ -z "$services" ]; then
        say "nothing of $1 is up"
        return
    fi
    say "stopping $1: ${services% }; its data stays in $LOCAL_VOLUME_ROOT"
    export COMPOSE_PROFILES=db,s3
    compose down --remove-orphans && return
    # a slow engine holds a network for a moment after its containers are gone
    sleep 3
    compose down --remove-orphans || die "not everything could be taken away: the lines above say what; 'sh deploy.sh down $1' tries again"
}

# labels_of PROJECT NAME: the values of compose's label of that name, a line each
labels_of() {
    docker ps -a --filter "label=com.docker.compose.project=$1" --filter label=com.docker.compose.oneoff=False \
        --format "{{.Label \"com.docker.compose.$2\"}}" | sort -u
}

# place_of STACK: the folder of another checkout that it was started in; nothing where it was this one, or one that is gone
place_of() {
    case $1 in devel) name=$project-devel ;; *) name=$project ;; esac
    labels_of "$name" project.working_dir | {
        other=''
        while IFS= read -r dir; do
            [ "$dir" != "$root" ] || exit 0
            [ ! -e "$dir/deploy.sh" ] || other=$dir
        done
        printf '%s' "$other"
    }
}

cmd_status() {
    [ $# -eq 0 ] || misuse "status takes no arguments"
    use_running_stack
    [ -n "$stacks" ] || die "nothing is running: 'sh deploy.sh prod' starts it"
    say "services ($mode)"
    compose ps -a --format 'table {{.Service}}\t{{.Status}}\t{{.Image}}'
    bad=$(states | grep -v -e ' running healthy$' -e ' running none$' | cut -d' ' -f1 | tr '\n' ' ')
    for name in $(compose config --services); do
        # one that was never made, or was taken away, has no state
        [ -n "$(compose ps -a -q "$name")" ] || bad="$bad$name "
    done
    [ -n "$(compose ps -q)" ] || bad='nothing is running'
    # that a container is healthy says that its program lives, and not that the API reaches database and S3
    if [ "$mode" = prod ] && [ -n "$(compose ps -q --status running spi_api)" ] && [ -n "$(compose ps -q --status running spi_nginx)" ]; then
        ready=$(compose exec -T spi_nginx curl -sS -m 20 "http://spi_api:${API_PORT:-8080}/readyz" 2>&1) || true
        say "the API: $ready"
        case $ready in *'"ready":true'*) ;; *) bad="${bad}spi_api " ;; esac
    fi
    # nor that a detector may log in, and has a model; it needs a moment after its start
    for id in $(compose ps -q --status running spi_uid); do
        tries=5
        until ready=$(docker exec "$id" /usr/local/bin/spi-uid healthcheck --ready 2>&1); do
            # an older image than this script: it is asked once 'prod' has brought the newer one
            case $ready in *'unknown flag'*) break ;; esac
            tries=$((tries - 1))
            if [ "$tries" -eq 0 ]; then
                say "a detector ($(docker inspect --format '{{slice .Name 1}}' "$id")): $ready"
                bad="${bad}spi_uid "
                break
            fi
            sleep 1
        done
    done
    if [ "$mode" = prod ] && [ -n "$(compose ps -q --status running certbot)" ]; then
        say "certificates"
        certificates=$(compose exec -T certbot certbot certificates 2>/dev/null | grep -E 'Certificate Name|Domains|Expiry Date|No certificates' || true)
        printf '%s\n' "$certificates"
        case $certificates in
        # renewed when 30 days are left: fewer than 10 mean that it fails
        *'No cert'*)
            say "'sh deploy.sh prod-init' gets one"
            bad="${bad}certificate "
            ;;
        *INVALID* | *'VALID: '[1-9]' day'* | *hour*) bad="${bad}certificate " ;;
        esac
        case $certificates in *'Certificate Name'*)
            server=$(compose ps -q --status running spi_nginx)
            if [ -n "$server" ] && ! serves_certificate; then
                say "the web server uses another one: it takes a new one within a minute; if it does not, 'docker restart $(docker inspect --format '{{slice .Name 1}}' "$server")'"
                bad="${bad}spi_nginx "
            fi
            ;;
        esac
        renewal=$(compose exec -T certbot cat /etc/letsencrypt/sticky-pi-renewal 2>/dev/null || echo unknown)
        say "last attempt to renew (UTC): $renewal"
        case $renewal in failed*) bad="${bad}renewal " ;; esac
    fi
    [ -z "$bad" ] || die "not well: ${bad% }"
}

cmd_logs() {
    use_running_stack
    # services among the options of `docker compose logs`
    services='' value=''
    for argument; do
        shift
        case $value,$argument in
        yes,*) value='' ;;
        ,-n | ,--tail | ,--since | ,--until | ,--index) value=yes ;;
        ,-*) ;;
        *)
            [ -n "$services" ] || services=$(compose config --services) || die "docker compose does not take the settings: the lines above say why"
            name=$(service "$argument")
            printf '%s\n' "$services" | grep -qxF -e "$name" || misuse "logs: there is no service $argument"
            argument=$name
            ;;
        esac
        set -- "$@" "$argument"
    done
    [ -n "$stacks" ] || die "there are no logs, as nothing is running: 'sh deploy.sh prod' starts it"
    case " $* " in
    *' -f '* | *' --follow '*) compose logs --tail 200 "$@" ;; # nothing in between would pass lines on as they come
    *) if [ -t 1 ]; then compose logs --tail 200 "$@"; else plain_logs "$@"; fi ;;
    esac
}

# plain_logs ARGUMENTS: the logs as they are for a file, and compose's exit status
plain_logs() {
    {
        status=$({ { compose logs --tail 200 "$@" && echo 0 >&3 || echo $? >&3; } | plain >&4; } 3>&1)
    } 4>&1
    return "$status"
}

cmd_scale() {
    [ $# -gt 0 ] || misuse "scale takes SERVICE=N"
    use_running_stack
    for argument; do
        case $argument in api=[1-9] | api=[1-9][0-9] | uid=[1-9] | uid=[1-9][0-9]) ;;
        *) misuse "scale: '$argument': write api=N or uid=N, with N from 1 to 99" ;;
        esac
    done
    need_running spi_api
    # the API of devel has a port of this machine, which two cannot have
    case $mode,$* in devel,*api=*) die "scale: devel runs one API; uid=N, or production, can be scaled" ;; esac
    for argument; do
        name=$(service "${argument%%=*}")
        say "running ${argument#*=} of $name"
        compose up -d --no-deps --no-recreate --scale "$name=${argument#*=}" "$name" || die "scaling failed"
        wait_healthy "$name"
    done
}

cmd_mysql_prompt() {
    use_running_stack
    local_db || die "the database is on $MYSQL_HOST: use a client of your own"
    need_running spi_db
    # shellcheck disable=SC2016
    login='export MYSQL_PWD="$MARIADB_PASSWORD"; exec mariadb '$db_login' "$@" "$MARIADB_DATABASE"'
    if [ -t 0 ] && [ -t 1 ]; then compose exec spi_db sh -c "$login" sh "$@"; else compose exec -T spi_db sh -c "$login" sh "$@"; fi
}

# ask_password: a password that is typed twice, unseen, into the variable password
ask_password() {
    saved=$(stty -g)
    trap 'stty "$saved"' EXIT
    trap 'exit 1' HUP INT TERM
    stty -echo
    printf 'Password: ' >&2
    IFS= read -r password
    printf '\nAgain: ' >&2
    IFS= read -r again
    printf '\n' >&2
    stty "$saved"
    trap - EXIT HUP INT TERM
    [ "$password" = "$again" ] || die "the two differ: nothing was changed"
}

cmd_user() {
    [ $# -gt 0 ] || misuse "user takes list, add, reset or delete"
    case $1,${2:-} in add, | reset, | delete,) misuse "user $1: write the account's name after it" ;; esac
    use_running_stack
    need_running spi_api
    case $1 in
    list | delete) compose exec -T spi_api spi-api user "$@" </dev/null ;;
    add | reset)
        if [ -t 0 ]; then
            ask_password
            printf '%s\n' "$password" | compose exec -T spi_api spi-api user "$@"
        else
            compose exec -T spi_api spi-api user "$@"
        fi
        ;;
    *) misuse "user: no such command: $1" ;;
    esac
}

# --- production: backups ----------------------------------------------------------------------------------------------

# confirm QUESTION: goes on if --yes was given, or the question is answered so
confirm() {
    [ -z "$yes" ] || return 0
    [ -t 0 ] || die "$1 Without a terminal to answer at, --yes has to say so: nothing was changed"
    printf '%s [yes/no] ' "$1"
    IFS= read -r answer || answer=no
    [ "$answer" = yes ] || die "nothing was changed"
}

# one_and_yes NAME ARGUMENTS: the one argument that a command takes, into the variable given, and which options are there
one_and_yes() {
    what=$1 given='' yes='' no_migrate=''
    shift
    for argument; do
        case $what,$argument in
        "$what",--yes) yes=yes ;;
        mysql-restore,--no-migrate) no_migrate=yes ;;
        "$what",-*) misuse "$what: no such option: $argument" ;;
        *)
            [ -z "$given" ] || misuse "$what takes one argument beside its options"
            given=$argument
            ;;
        esac
    done
    [ -n "$given" ] || misuse "$what: an argument is missing"
}

# cleaned_up: takes away what a command leaves half done, however it ends; commands set what that is
leftovers='' container='' api_stopped=''
cleaned_up() {
    trap - EXIT HUP INT TERM
    if [ -n "$leftovers" ]; then rm -rf "$leftovers" "$leftovers".*; fi
    if [ -n "$container" ]; then
        docker stop "$container" >/dev/null 2>&1 || true
        docker rm -fv "$container" >/dev/null 2>&1 || true
    fi
    if [ -n "$api_stopped" ]; then
        say "starting the API again"
        (compose start spi_api >/dev/null 2>&1 && wait_healthy spi_api) || say "the API could not be started: run 'sh deploy.sh $mode'" >&2
    fi
}
clean_up_at_the_end() {
    trap cleaned_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# look_into_dump: reads a dump; writes a line "TABLE ROWS" for each table, and a line "! WHY" where it must not be restored.
# A row is an opening bracket outside of the quotes; line ends inside of them are escaped, so that a statement begins a line.
look_into_dump() {
    LC_ALL=C awk '
        /^(USE |CREATE DATABASE)/ { print "! it is of whole databases, and not of one" }
        /^CREATE TABLE / { split($0, part, "`"); if (!(part[2] in rows)) rows[part[2]] = 0 }
        /^INSERT / { split($0, part, "`"); table = part[2]; sub(/^INSERT [^(]*VALUES/, ""); inside = 1 }
        inside {
            gsub(/\\./, "")
            gsub(/\047[^\047]*\047/, "")
            rows[table] += gsub(/\(/, "")
            if (/;[ \t]*$/) inside = 0
        }
        { last = $0 }
        END {
            if (last !~ /^-- Dump completed/) print "! it is cut short: its last line is missing"
            if (!("images" in rows) || !("users" in rows)) print "! it is not of a Sticky Pi database: it lacks the tables images and users"
            for (table in rows) print table, rows[table]
        }' | LC_ALL=C sort
}

# why_not FINDINGS: what look_into_dump has against a dump
why_not() { printf '%s\n' "$1" | sed -n '1s/^! //p'; }

# rows_in FINDINGS: how much a dump holds, for people
rows_in() { printf '%s\n' "$1" | awk '{ n += $2 } END { print n (n == 1 ? " row in " : " rows in ") NR " tables" }'; }

cmd_mysql_backup() {
    [ $# -le 1 ] || misuse "mysql-backup takes a folder or nothing"
    dir=$(CDPATH='' cd -- "${1:-.}" 2>/dev/null && pwd -P) || die "there is no folder $1"
    [ -w "$dir" ] || die "$dir cannot be written: name a folder of yours"
    use_running_stack
    if local_db; then need_running spi_db; fi
    umask 077
    leftovers=$dir/.spi_db.dump.$$
    clean_up_at_the_end
    say "backing up the database $MYSQL_DATABASE"
    dump_database "$leftovers" || die "the backup failed, and nothing is left of it: is the disk full? does the database answer?"
    rows=$(gzip -dc "$leftovers" | look_into_dump)
    case $rows in !*) die "the dump cannot be used: $(why_not "$rows")" ;; esac
    sum=$(sha256sum <"$leftovers") && sum=${sum%% *}
    number=1
    while :; do
        name=spi_db.dump.$(date +%Y-%m-%d)
        [ $number -eq 1 ] || name=$name-$number
        name=$name.sql.gz
        number=$((number + 1))
        if [ -e "$dir/$name" ] || [ -e "$dir/$name.sha256" ]; then continue; fi
        # sha256sum -c passes over comments
        { printf '%s  %s\n' "$sum" "$name" && printf '%s\n' "$rows" | sed 's/^/# rows: /'; } >"$leftovers.sha256" ||
            die "the backup failed, and nothing is left of it: is the disk full?"
        # a link, unlike a move, never replaces a file that was made meanwhile; not every file system has links
        if ln "$leftovers" "$dir/$name" 2>/dev/null || { [ ! -e "$dir/$name" ] && mv "$leftovers" "$dir/$name"; }; then
            mv "$leftovers.sha256" "$dir/$name.sha256"
            break
        fi
    done
    say "$dir/$name is written and whole: $(rows_in "$rows")"
}

# check_backup FILE: refuses what must not be restored; sets rows
check_backup() {
    { [ -f "$1" ] && [ -r "$1" ]; } || die "$1 cannot be read"
    if [ -e "$1.sha256" ]; then
        wanted=$(sed -n '1s/[[:space:]].*//p' "$1.sha256")
        sum=$(sha256sum <"$1")
        [ "${sum%% *}" = "$wanted" ] || die "$1 is not what was backed up: its SHA-256 is not the one of $1.sha256"
        say "its SHA-256 is right"
    else
        say "there is no $1.sha256: whether the file is whole is all that can be checked"
    fi
    gzip -t "$1" 2>/dev/null || die "$1 is cut short, or was never written by mysql-backup: it is no whole gzip file"
    rows=$(gzip -dc "$1" | look_into_dump)
    case $rows in !*) die "$1 is refused: $(why_not "$rows")" ;; esac
    if noted=$(sed -n 's/^# rows: //p' "$1.sha256" 2>/dev/null) && [ -n "$noted" ] && [ "$noted" != "$rows" ]; then
        die "$1 is refused: it does not hold the rows that $1.sha256 lists"
    fi
    say "it is whole: $(rows_in "$rows")"
}

# count_query DATABASE ROWS: SQL that counts what ROWS lists
count_query() {
    printf '%s\n' "$2" | awk -v db="$1" '{ printf "%sSELECT \047%s\047, COUNT(*) FROM `%s`.`%s`", (NR > 1 ? " UNION ALL " : ""), $1, db, $1 }'
    echo ';'
}

# sql: SQL on the standard input, as the stack's user
sql() { in_database "mariadb $db_login -N -B --max-allowed-packet=64M $*"; }

tables_of() {
    echo "SELECT table_name FROM information_schema.tables WHERE table_schema = '$1' AND table_type = 'BASE TABLE';" | sql
}

# moves FROM TO TABLES: the parts of a RENAME TABLE
moves() { printf '%s\n' "$3" | awk -v from="$1" -v to="$2" 'NF { printf ", `%s`.`%s` TO `%s`.`%s`", from, $1, to, $1 }'; }

# allow_scratch lets the stack's user make the two databases that a restore needs. The image gives it only its own, and root's
# password of an older data folder may be forgotten: then the database is started once without asking for any.
allow_scratch() {
    try="CREATE DATABASE IF NOT EXISTS \`$scratch\`; DROP DATABASE \`$scratch\`; CREATE DATABASE IF NOT EXISTS \`$before\`;"
    if echo "$try" | sql 2>/dev/null; then return; fi
    account=$(echo 'SELECT CURRENT_USER();' | sql) || die "the database does not answer"
    # in GRANT an underscore stands for any character
    grants=''
    for name in "$scratch" "$before"; do
        grants="${grants}GRANT ALL ON \`$(printf '%s' "$name" | sed 's/_/\\_/g')\`.* TO '${account%@*}'@'${account##*@}'; "
    done
    local_db || die "the user $MYSQL_USER may not make the databases that a restore needs. Have the database's administrator run: $grants"
    # shellcheck disable=SC2016
    if ! echo "$grants" | compose exec -T spi_db sh -c 'MYSQL_PWD="$MARIADB_ROOT_PASSWORD" exec mariadb -u root' 2>/dev/null; then
        say "root's password is not known: the database is started for a moment without asking for any, and without a network"
        compose stop spi_db
        container=$COMPOSE_PROJECT_NAME-grant
        compose run -d --no-deps --name "$container" spi_db mariadbd --skip-grant-tables --skip-networking >/dev/null
        tries=0
        until docker exec "$container" mariadb -e 'SELECT 1' >/dev/null 2>&1; do
            tries=$((tries + 1))
            [ $tries -lt 300 ] || die "the database did not come up: see 'sh deploy.sh logs db'"
            sleep 1
        done
        granted=yes
        echo "FLUSH PRIVILEGES; $grants" | docker exec -i "$container" mariadb || granted=''
        docker stop -t 120 "$container" >/dev/null
        docker rm -v "$container" >/dev/null
        container=''
        compose up -d --no-deps spi_db
        wait_healthy spi_db
        [ -n "$granted" ] || die "the user $MYSQL_USER could not be given the right to make databases: nothing was changed"
    fi
    echo "$try" | sql || die "the user $MYSQL_USER still may not make databases: nothing was changed"
}

cmd_mysql_restore() {
    one_and_yes mysql-restore "$@"
    dump=$given
    check_backup "$dump"
    use_running_stack
    if local_db; then need_running spi_db; fi
    confirm "Replace everything in the database $MYSQL_DATABASE ($mode) by what $dump holds?"
    scratch=${MYSQL_DATABASE}_restore before=${MYSQL_DATABASE}_before_restore
    clean_up_at_the_end
    if [ -n "$(compose ps -q --status running spi_api)" ]; then
        say "stopping the API; clients wait and try again"
        compose stop spi_api || die "the API could not be stopped: nothing was changed"
        api_stopped=yes
    fi
    allow_scratch
    held=$(tables_of "$before") || die "the database does not answer: nothing was changed"
    [ -z "$held" ] ||
        die "the database $before holds what was there before a restore that was interrupted: look at it with 'sh deploy.sh mysql-prompt', then DROP DATABASE \`$before\`"

    say "restoring into the database $scratch"
    like=$(echo "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = '$MYSQL_DATABASE';" | sql) ||
        die "the database does not answer: nothing was changed"
    like=$(printf '%s\n' "$like" | awk '{ print "CHARACTER SET " $1 " COLLATE " $2 }')
    { echo "DROP DATABASE IF EXISTS \`$scratch\`; CREATE DATABASE \`$scratch\` $like;" | sql &&
        gzip -dc "$dump" | sql "'$scratch'"; } || { drop_both; die "the restore failed: the data is as it was, and the lines above say why"; }
    counted=$(count_query "$scratch" "$rows" | sql | tr '\t' ' ' | LC_ALL=C sort)
    if [ "$counted" != "$rows" ]; then
        drop_both
        die "the restore failed: the backup holds other numbers of rows than arrived; the data is as it was"
    fi

    say "every row is there; putting the restored tables in the place of the others"
    old=$(tables_of "$MYSQL_DATABASE") || die "the database does not answer: the data is as it was"
    new=$(tables_of "$scratch") || die "the database does not answer: the data is as it was"
    swap=$(moves "$MYSQL_DATABASE" "$before" "$old")$(moves "$scratch" "$MYSQL_DATABASE" "$new")
    echo "SET foreign_key_checks = 0; RENAME TABLE ${swap#, };" | sql || {
        # the connection may have broken after the renaming was done
        held=$(tables_of "$before") || held=unknown
        [ -z "$held" ] ||
            die "the database went away while the tables were renamed: see with 'sh deploy.sh mysql-prompt' whether what was there before is in $before, and drop nothing until then"
        drop_both
        die "the tables could not be renamed: the data is as it was"
    }

    [ -n "$no_migrate" ] || migrate_restored || {
        back=$(moves "$MYSQL_DATABASE" "$scratch" "$(tables_of "$MYSQL_DATABASE")")$(moves "$before" "$MYSQL_DATABASE" "$old")
        echo "SET foreign_key_checks = 0; RENAME TABLE ${back#, };" | sql ||
            die "the migration failed, and so did putting the data back: it is in the database $before"
        drop_both
        die "the restored data could not be migrated: the data is as it was before, and the lines above say why"
    }
    drop_both
    # the API of this version would migrate as it starts
    [ -z "$no_migrate" ] || api_stopped=''
    say "restored: $(printf '%s\n' "$rows" | awk '{ printf "%s%s %s", (NR > 1 ? ", " : ""), $2, $1 }')"
    [ -z "$no_migrate" ] || say "nothing was migrated, and the API stays stopped: check the older version out, then 'sh deploy.sh $mode'"
}

drop_database() { echo "DROP DATABASE IF EXISTS \`$1\`;" | sql || say "the database $1 could not be dropped: do it with 'sh deploy.sh mysql-prompt'" >&2; }

# drop_both: the databases of a restore, once neither holds what is still needed
drop_both() {
    drop_database "$scratch"
    drop_database "$before"
}

# migrate_restored brings what was restored to the version of the API, if there is one here
migrate_restored() {
    if ! docker image inspect "$(compose config --images 2>/dev/null | grep '/api:')" >/dev/null 2>&1; then
        say "the API is not built yet: 'sh deploy.sh $mode' migrates the database, if that has to be"
        return 0
    fi
    say "migrating, if the backup is of an older version"
    compose run --rm -T --no-deps spi_api migrate </dev/null || return
    # those who had leased images when the backup was made know nothing of it any more, or have leased anew
    compose run --rm -T --no-deps spi_api end-leases </dev/null ||
        say "images that detectors had leased when the backup was made wait for the end of their leases, an hour at most"
}

# a dump's rows, one a line, as mariadb-dump writes them
rows_only() { grep '^(' | sed 's/[,;]$//'; }

cmd_verify_backup() {
    one_and_yes verify-backup "$@"
    dump=$given
    check_backup "$dump"
    load_settings
    have docker || die "Docker is needed: see https://docs.docker.com/engine/install/"
    container=spi-verify-$$
    clean_up_at_the_end
    say "restoring it into a database server of its own, which is thrown away afterwards"
    docker run -d --name $container --network none -e MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1 -e MARIADB_DATABASE=scratch \
        "${MARIADB_IMAGE:-mariadb:11.8}" --max-allowed-packet=64M --innodb-flush-log-at-trx-commit=0 >/dev/null || die "the server could not be started"
    tries=0
    until docker exec $container mariadb --protocol=tcp -h 127.0.0.1 -u root -e 'SELECT 1' >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || die "the server did not come up: $(docker logs --tail 3 $container 2>&1)"
        sleep 1
    done
    gzip -dc "$dump" | docker exec -i $container mariadb -u root --max-allowed-packet=64M scratch || die "$dump cannot be restored: the lines above say why"
    counted=$(count_query scratch "$rows" | docker exec -i $container mariadb -u root -N -B | tr '\t' ' ' | LC_ALL=C sort)
    [ "$counted" = "$rows" ] || die "$dump is wrong: other numbers of rows arrived than it holds"
    say "the number of rows of every table is right"
    # dumps of older programs have many rows on a line
    wanted=$(gzip -dc "$dump" | rows_only | sha256sum)
    if [ "$(gzip -dc "$dump" | rows_only | wc -l)" -eq "$(printf '%s\n' "$rows" | awk '{ n += $2 } END { print n }')" ]; then
        sum=$(docker exec $container mariadb-dump -u root --single-transaction --quick --hex-blob --max-allowed-packet=64M scratch | rows_only | sha256sum)
        [ "$sum" = "$wanted" ] || die "$dump is wrong: what was restored is not what it holds"
        say "the content of every row is right"
    else
        say "the content of the rows was not compared: the dump was made by another program"
    fi
    say "$dump can be restored"
}

# copy_bucket COMMAND DIR ARGUMENTS: runs a command of the API's program on a folder of this machine, as its owner
copy_bucket() {
    what=$1 dir=$2
    shift 2
    if local_s3; then need_running spi_s3; fi
    terminal=-T
    if [ -t 0 ] && [ -t 2 ]; then terminal=''; fi
    # compose, when it is interrupted, leaves the container to itself
    container=$COMPOSE_PROJECT_NAME-$what-$$
    clean_up_at_the_end
    again='interrupted: the same command goes on from here'
    trap 'say "$again" || true; exit 129' HUP
    trap 'say "$again" || true; exit 130' INT
    trap 'say "$again" || true; exit 143' TERM
    # $terminal is an option or nothing
    # shellcheck disable=SC2086
    compose run --rm $terminal --no-deps --name "$container" --user "$(id -u):$(id -g)" -v "$dir:/backup" spi_api "$what" "$@" /backup
}

cmd_s3_backup() {
    one_and_yes s3-backup "$@"
    (umask 077 && mkdir -p -- "$given") || die "$given cannot be made: name a folder of yours"
    dir=$(CDPATH='' cd -- "$given" && pwd -P)
    use_running_stack
    say "copying what is new in the bucket $S3_BUCKET_NAME of $S3_HOST into $dir"
    copy_bucket s3-backup "$dir" || die "not everything is copied: the lines above say why; the same command goes on from here"
}

cmd_s3_restore() {
    one_and_yes s3-restore "$@"
    dir=$(CDPATH='' cd -- "$given" 2>/dev/null && pwd -P) || die "there is no folder $given"
    [ -d "$dir/objects" ] || die "$dir is no backup of a bucket: it has no folder objects"
    use_running_stack
    confirm "Put the objects of $dir into the bucket $S3_BUCKET_NAME of $S3_HOST ($mode), over those that differ?"
    say "copying what the bucket $S3_BUCKET_NAME of $S3_HOST lacks"
    copy_bucket s3-restore "$dir" || die "not everything is restored: the lines above say why; the same command goes on from here"
}

cmd_fsck() {
    use_running_stack
    need_running spi_api
    compose exec -T spi_api spi-api fsck "$@" </dev/null
}

cmd_forget_version() {
    [ $# -eq 0 ] || misuse "forget-version takes no argument"
    use_running_stack
    need_running spi_api
    compose exec -T spi_api spi-api forget-version </dev/null
}

# --- production: doctor -----------------------------------------------------------------------------------------------

good() { printf 'ok    %s\n' "$*"; }
left_out() { printf 'skip  %s\n' "$*"; }
bad() {
    printf 'FAIL  %s\n' "$*"
    faults=$((faults + 1))
}

doctor_tools() {
    lacking=''
    for program in awk date df find gzip sed sha256sum; do have $program || lacking="$lacking $program"; done
    if [ -z "$lacking" ]; then good "programs: all are there"; else bad "programs:$lacking missing: install them"; fi
    engine=''
    # need_compose ends the shell that it runs in
    if why=$( (need_compose) 2>&1); then
        engine=yes
        need_compose
        good "docker: engine $(docker version --format '{{.Server.Version}}' 2>/dev/null), compose $version"
    else
        bad "docker: ${why#deploy.sh: }"
    fi
}

doctor_files() {
    for file in .env .secret.env; do
        path=$root/$file
        if [ ! -e "$path" ]; then
            case $file in
            .env) bad "$file: $path is missing: get it back (git checkout .env)" ;;
            *) bad "$file: $path is missing: 'sh deploy.sh init' writes it" ;;
            esac
        elif [ ! -r "$path" ]; then
            bad "$file: $path cannot be read: run this as its owner"
        else
            broken=$(grep -n -v -E '^[[:space:]]*(#.*)?$|^[[:space:]]*(export[[:space:]]+)?[A-Za-z_][A-Za-z0-9_]*=([^[:space:]].*)?$' "$path" | cut -d: -f1 | tr '\n' ' ')
            if [ -n "$broken" ]; then
                bad "$file: line ${broken% } of $path: write NAME=value, without spaces around the ="
            else
                good "$file: $path is well-formed"
            fi
        fi
    done
    path=$root/.secret.env
    [ -e "$path" ] || return 0
    if [ -n "$(find -L "$path" \( -perm -004 -o -perm -040 -o -perm -002 -o -perm -020 \))" ]; then
        bad ".secret.env: other users can read or change $path: chmod 600 $(word "$path")"
    else
        good ".secret.env: nobody else can read it"
    fi
}

doctor_settings() {
    before=$faults
    case $ROOT_DOMAIN_NAME in
    '' | example.org | *.example.org) bad "ROOT_DOMAIN_NAME is '$ROOT_DOMAIN_NAME', which only stands for yours: write your domain into $root/.env" ;;
    *[!a-z0-9.-]* | .* | *..* | *. | *-.* | -*) bad "ROOT_DOMAIN_NAME is '$ROOT_DOMAIN_NAME': write a domain in small letters, such as pi.example.net, into $root/.env" ;;
    esac
    for name in $secret_names; do
        value=$(eval "printf '%s' \"\${$name:-}\"")
        case $name,$value in
        *,) bad "$name is not set: add a line $name=value to $root/.secret.env (.secret.env.example explains it)" ;;
        S3_ACCESS_KEY,*[[:space:]]* | S3_PRIVATE_KEY,*[[:space:]]*) bad "$name has a space in it: copy it again into $root/.secret.env" ;;
        S3_BUCKET_NAME,*[!a-z0-9.-]* | S3_BUCKET_NAME,? | S3_BUCKET_NAME,??)
            bad "S3_BUCKET_NAME is '$value': 3 to 63 small letters, digits, hyphens and dots, in $root/.secret.env" ;;
        S3_HOST,*/*) bad "S3_HOST is '$value': write the host's name alone, such as s3.\${ROOT_DOMAIN_NAME}, into $root/.secret.env" ;;
        ADMIN_EMAIL,*@*.*) ;;
        ADMIN_EMAIL,*) bad "ADMIN_EMAIL is '$value', which is no address: write a mailbox that somebody reads into $root/.secret.env" ;;
        SECRET_API_KEY,* | MYSQL_PASSWORD,* | API_ADMIN_PASSWORD,* | UID_PASSWORD,*)
            [ ${#value} -ge 11 ] || bad "$name is shorter than 11 characters: write a longer one into $root/.secret.env" ;;
        esac
    done
    for name in API_PORT WEBAPP_PORT METRICS_PORT MYSQL_PORT MYSQL_MAX_CONNECTIONS; do
        value=$(eval "printf '%s' \"\${$name:-}\"")
        case $value in
        *[!0-9]* | ??????*) bad "$name is '$value': write a number into $root/.env" ;;
        esac
    done
    fault=$(bundle_fault)
    [ -z "$fault" ] || bad "$fault"
    for name in DEBUG DEVEL TESTING; do
        value=$(eval "printf '%s' \"\${$name:-}\"" | tr '[:upper:]' '[:lower:]')
        case $value in '' | 1 | true | t | yes | y | on | 0 | false | f | no | n | off | none) ;; *) bad "$name is '$value': write true or false into $root/.env" ;; esac
    done
    [ "$faults" -gt "$before" ] || good "settings: complete"
}

# is_listening PORT: whether something on this machine listens on it
is_listening() {
    hex=$(printf '%04X' "$1")
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }'
}

doctor_ports() {
    ours=''
    [ -z "$engine" ] || ours=$(compose ps -q --status running spi_nginx 2>/dev/null || true)
    for port in "${HTTP_PORT:-80}" "${HTTPS_PORT:-443}"; do
        if ! is_listening "$port"; then
            good "port $port: free"
        elif [ -n "$ours" ]; then
            good "port $port: held by this server's own web server"
        else
            who=$(ss -Hltnp "sport = :$port" 2>/dev/null | sed -n 's/.*users:((\("[^"]*"\).*/ by \1/p' | head -n 1)
            bad "port $port: taken$who: stop that program, or see 'Beside another web server' in docs/OPERATIONS.md"
        fi
    done
}

# own_addresses: the addresses that this machine is reached at, a line each
own_addresses() {
    printf '%s\n' "${PUBLIC_ADDRESS:-}" | tr ', ' '[\n*]'
    if have ip; then
        ip -o addr show | awk '{ sub(/\/.*/, "", $4); print $4 }'
    else
        hostname -I 2>/dev/null | tr ' ' '\n'
        printf '127.0.0.1\n127.0.1.1\n::1\n'
    fi
}

doctor_dns() {
    case $ROOT_DOMAIN_NAME in '' | example.org) left_out "DNS: no domain is set" && return ;; esac
    have getent || { left_out "DNS: getent is missing" && return; }
    own=$(own_addresses)
    for name in $(certificate_names); do
        found=$(getent ahosts "$name" 2>/dev/null | awk '{ print $1 }' | sort -u)
        foreign=''
        for address in $found; do
            printf '%s\n' "$own" | grep -qxF "$address" || foreign="$foreign $address"
        done
        if [ -z "$found" ]; then
            bad "DNS: $name is not known: make it an A record (and AAAA, if you use IPv6) with this machine's address"
        elif [ -n "$foreign" ]; then
            bad "DNS: $name points to$foreign, which is not this machine's: mend the record, or, where a router or cloud passes that address on to here, add PUBLIC_ADDRESS=${foreign# } to $root/.env"
        else
            good "DNS: $name points here"
        fi
    done
}

doctor_disk() {
    # it need not be there yet
    base=$LOCAL_VOLUME_ROOT
    while [ ! -e "$base" ]; do base=$(dirname -- "$base"); done
    if [ ! -d "$base" ]; then
        bad "volume: $base is in the way of LOCAL_VOLUME_ROOT ($LOCAL_VOLUME_ROOT): it is no folder"
        return
    fi
    free=$(df -Pk "$base" | awk 'NR == 2 { print int($4 / 1024) }')
    need=${MIN_FREE_MB:-5120}
    if [ "$free" -lt "$need" ]; then
        bad "disk: $free MB are free for $LOCAL_VOLUME_ROOT, and $need are the least: make room, or set LOCAL_VOLUME_ROOT in $root/.env to a folder of a larger disk"
    else
        good "disk: $((free / 1024)) GB are free for $LOCAL_VOLUME_ROOT"
    fi
    inodes=$(df -Pi "$base" 2>/dev/null | awk 'NR == 2 && $4 ~ /^[0-9]+$/ && $2 > 0 { print $4 }')
    if [ -n "$inodes" ] && [ "$inodes" -lt 10000 ]; then
        bad "disk: the file system of $LOCAL_VOLUME_ROOT has room for $inodes more files only: use another one"
    fi
    probe_file=$base/.doctor.$$
    if (: >"$probe_file") 2>/dev/null && rm -f "$probe_file"; then
        good "volume: $LOCAL_VOLUME_ROOT can be written"
    elif [ "$(id -u)" -ne 0 ] && [ -n "$engine" ] && docker image inspect "${NGINX_IMAGE:-nginx:stable}" >/dev/null 2>&1 &&
        docker run --rm --network none -v "$base:/v" --entrypoint sh "${NGINX_IMAGE:-nginx:stable}" -c ": >/v/.doctor.$$ && rm /v/.doctor.$$" >/dev/null 2>&1; then
        good "volume: $LOCAL_VOLUME_ROOT can be written by containers"
    else
        bad "volume: $LOCAL_VOLUME_ROOT cannot be written (tried in $base): mount it for writing, own it (chown), or set LOCAL_VOLUME_ROOT in $root/.env to another folder"
    fi
}

# quoted TEXT: for between the quotes of a configuration of curl
quoted() { printf '%s' "$1" | sed 's/[\\"]/\\&/g'; }

# s3_by_curl URL: asks S3 for the bucket, signed with the keys; says what is wrong
s3_by_curl() {
    # the SHA-256 of no body, which S3 wants and not every curl sends
    nothing=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    # on the standard input: a command line can be read by every user
    reply=$(printf 'user = "%s:%s"\n' "$(quoted "$S3_ACCESS_KEY")" "$(quoted "$S3_PRIVATE_KEY")" |
        curl -K - --aws-sigv4 "aws:amz:${S3_REGION:-us-east-1}:s3" -H "x-amz-content-sha256: $nothing" -sS -m 20 -D - "$1/$S3_BUCKET_NAME" 2>&1) || {
        echo "$1 does not answer ($(printf '%s\n' "$reply" | tail -n 1)): check S3_HOST, the network and the firewall"
        return 1
    }
    status=$(printf '%s\n' "$reply" | awk 'NR == 1 { print $2 }')
    theirs=$(printf '%s\n' "$reply" | tr -d '\r' | sed -n 's/^[Dd]ate: //p' | head -n 1)
    # not every date reads dates
    theirs=$(date -d "$theirs" +%s 2>/dev/null || date +%s)
    off=$(($(date +%s) - theirs))
    case ${off#-} in [0-9] | [0-5][0-9]) ;; *)
        echo "the clock of this machine and that of S3 differ by $off seconds: set this machine's by NTP (timedatectl set-ntp true)"
        return 1
        ;;
    esac
    case $status,$reply in
    200,* | 404,*NoSuchBucket*) return 0 ;;
    401,* | 403,* | *XAdminUserNotFound* | *InvalidAccessKeyId* | *SignatureDoesNotMatch*)
        echo "$1 refuses the keys: mend S3_ACCESS_KEY and S3_PRIVATE_KEY in $root/.secret.env" ;;
    *) echo "$1 answers $status: check S3_HOST and S3_BUCKET_NAME in $root/.secret.env, and S3_REGION in $root/.env" ;;
    esac
    return 1
}

doctor_s3() {
    if [ -z "${S3_HOST:-}" ] || [ -z "${S3_ACCESS_KEY:-}" ] || [ -z "${S3_PRIVATE_KEY:-}" ] || [ -z "${S3_BUCKET_NAME:-}" ]; then
        left_out "S3: its settings are not complete"
        return
    fi
    if local_s3 && { [ -z "$engine" ] || [ -z "$(compose ps -q --status running spi_s3 2>/dev/null)" ]; }; then
        left_out "S3: the local one is not running yet"
        return
    fi
    if [ -n "$engine" ] && docker image inspect "$(compose config --images 2>/dev/null | grep '/api:')" >/dev/null 2>&1; then
        if why=$(compose run --rm -T --no-deps spi_api s3-check </dev/null 2>&1); then
            good "S3: $S3_HOST takes the keys"
        else
            bad "S3: $(printf '%s\n' "$why" | sed -n 's/^spi-api: //p' | tail -n 1): mend S3_HOST, S3_ACCESS_KEY, S3_PRIVATE_KEY in $root/.secret.env"
        fi
    elif have curl && curl --help all 2>/dev/null | grep -q -e --aws-sigv4; then
        url=${S3_INTERNAL_URL:-https://$S3_HOST}
        if why=$(s3_by_curl "${url%/}"); then good "S3: $url takes the keys"; else bad "S3: $why"; fi
    else
        left_out "S3: it can be asked once 'sh deploy.sh prod' has built the API (or with curl 7.75 or newer)"
    fi
}

doctor_clock() {
    synchronized=''
    if have timedatectl; then synchronized=$(timedatectl show -p NTPSynchronized --value 2>/dev/null || true); fi
    if [ -z "$synchronized" ] && have chronyc; then
        if chronyc -n tracking 2>/dev/null | grep -q 'Leap status *: Normal'; then synchronized=yes; fi
    fi
    case $synchronized in
    yes) good "clock: set by NTP" ;;
    no) bad "clock: nothing sets it: turn NTP on (timedatectl set-ntp true); certificates, tokens and S3 need the right time" ;;
    *) left_out "clock: neither timedatectl nor chronyc tells whether it is set by NTP" ;;
    esac
}

doctor_certificate() {
    live=$LOCAL_VOLUME_ROOT/data/certbot/conf/live
    file=$live/$ROOT_DOMAIN_NAME/fullchain.pem
    if [ -e "$live" ] && [ ! -x "$live" ]; then
        left_out "certificate: only root can look at it"
    elif [ ! -e "$file" ]; then
        left_out "certificate: there is none yet: 'sh deploy.sh prod-init' gets it"
    elif ! have openssl; then
        left_out "certificate: openssl is missing"
    elif [ ! -r "$file" ]; then
        left_out "certificate: only root can read it"
    elif ! end=$(openssl x509 -noout -enddate -in "$file" 2>/dev/null); then
        bad "certificate: $file is broken: 'sh deploy.sh prod-init --force' gets another"
    elif ! openssl x509 -noout -checkend 0 -in "$file" >/dev/null; then
        bad "certificate: it ran out on ${end#notAfter=}: 'sh deploy.sh prod-init --force' gets another; 'sh deploy.sh logs certbot' says why it was not renewed"
    elif ! openssl x509 -noout -checkend 1209600 -in "$file" >/dev/null; then
        bad "certificate: it runs out on ${end#notAfter=}, and should have been renewed: 'sh deploy.sh logs certbot' says why it was not"
    else
        good "certificate: good until ${end#notAfter=}"
    fi
}

cmd_doctor() {
    [ $# -eq 0 ] || misuse "doctor takes no arguments"
    faults=0
    mode=prod
    doctor_tools
    doctor_files
    if why=$( (load_settings) 2>&1); then
        load_settings
        export COMPOSE_PROJECT_NAME="${COMPOSE_PROJECT_NAME:-sticky-pi}"
        profiles=''
        if local_db; then profiles=db; fi
        if local_s3; then profiles=$profiles${profiles:+,}s3; fi
        export COMPOSE_PROFILES="$profiles"
        doctor_settings
        doctor_ports
        doctor_dns
        doctor_disk
        doctor_s3
        doctor_clock
        doctor_certificate
    else
        bad "settings: ${why#deploy.sh: }"
    fi
    case $faults in
    0) say "doctor: all is well" ;;
    1) die "doctor: 1 fault: the line FAIL says what to do" ;;
    *) die "doctor: $faults faults: each line FAIL says what to do" ;;
    esac
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
        if turbojpeg_works; then
            say "golangci-lint with the tag turbojpeg"
            # shellcheck disable=SC2046
            (cd "$root" && "$tools/golangci-lint" run --build-tags turbojpeg $(tagged_packages turbojpeg)) || failed="$failed golangci-lint(turbojpeg)"
        else
            say "left out: the sources with the tag turbojpeg, as a C compiler, pkg-config or libturbojpeg0-dev is missing"
        fi
        if cgo_works; then
            say "golangci-lint with the tag onnx"
            # shellcheck disable=SC2046
            (cd "$root" && "$tools/golangci-lint" run --build-tags onnx $(tagged_packages onnx)) || failed="$failed golangci-lint(onnx)"
        else
            say "left out: the sources with the tag onnx, as a C compiler is missing"
        fi
        if [ -n "$(experiment)" ]; then
            say "golangci-lint with the experiment simd"
            # shellcheck disable=SC2046
            (cd "$root" && GOEXPERIMENT=$(experiment) "$tools/golangci-lint" run $(tagged_packages goexperiment)) || failed="$failed golangci-lint(simd)"
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
node|nodejs npm|the pages of the viewer, and their tests
chromium|chromium|tests of the viewer in a browser
aws|awscli|tests with the AWS command-line client'

present() {
    case $1 in
    cc) cgo_works ;;
    turbojpeg) turbojpeg_works ;;
    node) node_works ;;
    *) have "$1" || [ -x "/usr/sbin/$1" ] || [ -x "/usr/local/sbin/$1" ] ;;
    esac
}

# missing_needs: the lines of test_needs for what is not there
missing_needs() {
    printf '%s\n' "$test_needs" | while IFS='|' read -r name debian use; do
        present "$name" </dev/null || printf '%s|%s|%s\n' "$name" "$debian" "$use"
    done
}

# fetch_onnxruntime puts onnxruntime's shared library, which comes in its package for Node.js, into .build
fetch_onnxruntime() {
    [ ! -e "$onnxruntime/libonnxruntime.so.1" ] || return 0
    have npm && have tar || return 1
    case $(uname -s)-$(uname -m) in
    Linux-x86_64) arch=x64 ;;
    Linux-aarch64) arch=arm64 ;;
    *) return 1 ;;
    esac
    say "fetching onnxruntime $onnxruntime_version"
    new=$onnxruntime.$$
    mkdir -p "$new" "$onnxruntime"
    fetched=''
    if (cd "$new" && npm pack --silent "onnxruntime-node@$onnxruntime_version" >/dev/null &&
        tar -xzf onnxruntime-node-*.tgz --no-same-owner --strip-components=5 "package/bin/napi-v6/linux/$arch/libonnxruntime.so.1") &&
        mv -f "$new/libonnxruntime.so.1" "$onnxruntime/"; then fetched=yes; fi
    rm -rf "$new"
    [ -n "$fetched" ]
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
    if cgo_works && fetch_onnxruntime; then
        tags=$tags${tags:+,}onnx
        export ONNXRUNTIME_LIB="$onnxruntime/libonnxruntime.so.1"
    else
        skipped="${skipped:+$skipped
}skipped: the detector's models by onnxruntime: a C compiler, npm or the package onnxruntime-node cannot be had here"
    fi

    # without gotestsum the tests run all the same, only their skips are not listed
    if tool gotestsum gotest.tools/gotestsum $gotestsum_version; then
        run_tests() { "$tools/gotestsum" --format pkgname --format-icons text --format-hide-empty-pkg -- -shuffle=on -timeout 60m "$@"; }
    else
        skipped="${skipped:+$skipped
}skipped: the list of skipped tests, as gotestsum could not be installed"
        run_tests() { go test -shuffle=on -timeout 60m "$@"; }
    fi

    cd "$root"
    failed=''
    if node_works; then
        build_viewer || failed="$failed viewer"
        if [ "$only" = '' ] && [ -d "$web/node_modules" ]; then
            say "the viewer's pages: tests"
            (cd "$web" && npm run --silent test) </dev/null || failed="$failed viewer-tests"
        fi
    fi
    if [ "$only" = given ]; then
        say "go test ${race:-without -race}${tags:+ -tags $tags} $*"
        run_tests $race -tags "$tags" "$@" </dev/null || failed="$failed tests"
    else
        all=$(packages) browser=test/viewer tagged=$(tagged_packages turbojpeg && tagged_packages onnx)
        say "go vet"
        # shellcheck disable=SC2086
        go vet -tags "$tags" $all </dev/null || failed="$failed vet"
        if [ -n "$tags" ] && [ -n "$tagged" ]; then
            # with the packages around them, which use what they choose
            users=$(printf '%s\n' "$tagged" | sed 's,\(/internal/[^/]*\)/.*,\1,; s,$,/...,' | sort -u)
            say "go test without cgo, libjpeg-turbo and onnxruntime"
            # shellcheck disable=SC2086
            (export CGO_ENABLED=0 && run_tests $users "$@") </dev/null || failed="$failed tests-without-cgo"
        fi
        if [ -n "$(experiment)" ]; then
            say "go test with the experiment simd"
            # shellcheck disable=SC2046
            (GOEXPERIMENT=$(experiment) && export GOEXPERIMENT && run_tests $(tagged_packages goexperiment) "$@") </dev/null ||
                failed="$failed tests-with-simd"
        fi
        say "go test ${race:-without -race}${tags:+ -tags $tags}"
        # shellcheck disable=SC2086
        named=$(go list -tags "$tags" $all) || failed="$failed packages"
        # shellcheck disable=SC2046,SC2086
        run_tests $race -tags "$tags" $(printf '%s\n' "$named" | grep -v "/$browser\$") "$@" </dev/null || failed="$failed tests"
        # by itself: where containers come and go the machine's network changes, at which the browser ends what it is loading
        say "go test ${race:-without -race}${tags:+ -tags $tags} ./$browser"
        # shellcheck disable=SC2086
        run_tests $race -tags "$tags" "./$browser" "$@" </dev/null || failed="$failed tests-in-a-browser"
    fi

    say "summary (tests that skipped themselves are listed above, under Skipped, with their reasons)"
    [ -z "$skipped" ] || printf '%s\n' "$skipped"
    [ -z "$failed" ] || die "test: failed: ${failed# }"
    say "test: passed"
}

# --- screenshots ------------------------------------------------------------------------------------------------------

cmd_screenshots() {
    [ $# -eq 1 ] || [ $# -eq 2 ] || misuse "screenshots takes the folder that the pictures go to, and the address of a running demonstration"
    need_go
    build_viewer || die "without its pages there is nothing to see"
    case $1 in /*) folder=$1 ;; *) folder=$PWD/$1 ;; esac
    (cd "$root/test" && go test -count=1 -run '^TestScreenshots$' ./viewer -args -screenshots "$folder" -viewer "${2:-}") || die "the lines above say why"
    say "the pictures are in $folder"
}

# ----------------------------------------------------------------------------------------------------------------------

[ $# -gt 0 ] || misuse "a command is missing"
command=$1
shift
case $command in
local) cmd_local "$@" ;;
init) cmd_init "$@" ;;
build-client) cmd_build_client "$@" ;;
lint) cmd_lint "$@" ;;
test) cmd_test "$@" ;;
screenshots) cmd_screenshots "$@" ;;
prod-init) cmd_prod_init "$@" ;;
prod) cmd_prod "$@" ;;
devel) cmd_devel "$@" ;;
down) cmd_down "$@" ;;
status) cmd_status "$@" ;;
logs) cmd_logs "$@" ;;
scale) cmd_scale "$@" ;;
mysql-prompt) cmd_mysql_prompt "$@" ;;
mysql-backup) cmd_mysql_backup "$@" ;;
mysql-restore) cmd_mysql_restore "$@" ;;
verify-backup) cmd_verify_backup "$@" ;;
s3-backup) cmd_s3_backup "$@" ;;
s3-restore) cmd_s3_restore "$@" ;;
doctor) cmd_doctor "$@" ;;
fsck) cmd_fsck "$@" ;;
forget-version) cmd_forget_version "$@" ;;
user) cmd_user "$@" ;;
help | --help | -h) cmd_help ;;
*) misuse "no such command: $command" ;;
esac
