#!/bin/sh
# Run by the nginx image before nginx starts. It gives nginx the certificate that certbot keeps, or, as long as there is
# none, a throw-away one, and leaves a loop behind that reloads nginx when certbot has renewed it.
#
# nginx reads copies: a half renewed pair is noticed before nginx sees it.
set -eu

live=/etc/letsencrypt/live/$ROOT_DOMAIN_NAME
use=/run/certificate
every=20

say() { echo "certificates: $*" >&2; }

sum() { cat "$live/fullchain.pem" "$live/privkey.pem" 2>/dev/null | cksum; }

# place FULLCHAIN PRIVKEY: makes them nginx's
place() {
    (umask 077 && cat "$2" >$use/privkey.new) &&
        cat "$1" >$use/fullchain.new &&
        mv $use/privkey.new $use/privkey.pem &&
        mv $use/fullchain.new $use/fullchain.pem &&
        printf 'ssl_certificate %s;\nssl_certificate_key %s;\n' $use/fullchain.pem $use/privkey.pem >$use/nginx.conf
}

throw_away() {
    rm -f $use/*.pem
    # Not every image of nginx has openssl. Without it TLS connections are refused until there is a certificate; HTTP, which
    # is what a certificate is asked for through, works all the same.
    if command -v openssl >/dev/null 2>&1 && (umask 077 && openssl req -x509 -newkey rsa:2048 -nodes -days 7 \
        -subj "/CN=$ROOT_DOMAIN_NAME" -addext "subjectAltName=DNS:$ROOT_DOMAIN_NAME,DNS:*.$ROOT_DOMAIN_NAME" \
        -keyout $use/self.key -out $use/self.crt 2>/dev/null); then
        place $use/self.crt $use/self.key
        say "there is no certificate for $ROOT_DOMAIN_NAME: a throw-away one is used until 'sh deploy.sh prod-init' gets it"
    else
        echo 'ssl_reject_handshake on;' >$use/nginx.conf
        say "there is no certificate for $ROOT_DOMAIN_NAME: HTTPS is refused until 'sh deploy.sh prod-init' gets it"
    fi
}

watch() {
    used=$1
    while sleep $every; do
        now=$(sum)
        if [ "$now" = "$used" ] || [ ! -s "$live/fullchain.pem" ] || [ ! -s "$live/privkey.pem" ]; then continue; fi
        # certbot replaces its links: for a moment there may be none
        place "$live/fullchain.pem" "$live/privkey.pem" || continue
        # while certbot is between the two files the pair does not fit; the next round takes it
        if nginx -t -q && nginx -s reload; then
            used=$now
            sleep 1
            cp $use/fullchain.pem $use/served.pem # for deploy.sh, which waits for it
            say "the new certificate of $ROOT_DOMAIN_NAME is in use"
        fi
    done
}

mkdir -p $use
first=$(sum)
if [ -s "$live/fullchain.pem" ] && [ -s "$live/privkey.pem" ]; then
    place "$live/fullchain.pem" "$live/privkey.pem"
    cp $use/fullchain.pem $use/served.pem
else
    throw_away
fi
watch "$first" &
