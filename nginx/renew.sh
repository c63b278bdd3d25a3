#!/bin/sh
# The certbot container's program: renews, twice a day, the certificates that are due, and leaves how that went where
# `sh deploy.sh status` finds it.
set -u

state=/etc/letsencrypt/sticky-pi-renewal
trap 'exit 0' TERM INT

while :; do
    if certbot renew --non-interactive --no-random-sleep-on-renew --webroot --webroot-path /var/www/certbot >/tmp/renew.log 2>&1; then
        result=ok
    else
        result=failed
        cat /tmp/renew.log >&2
    fi
    echo "$result $(date -u '+%Y-%m-%d %H:%M:%S')" >$state.new && mv $state.new $state
    touch /tmp/alive
    # a signal is answered at once only while the shell itself waits
    sleep 43200 &
    wait $!
done
