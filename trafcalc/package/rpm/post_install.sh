# $1: how many versions are installed then, 1 for a new installation.
systemd-sysusers /usr/lib/sysusers.d/trafcalc.conf >/dev/null 2>&1 || :
systemd-tmpfiles --create /usr/lib/tmpfiles.d/trafcalc.conf >/dev/null 2>&1 || :
if [ "$1" -eq 1 ]; then
    systemctl --no-reload preset trafcalc.service >/dev/null 2>&1 || :
fi
systemctl daemon-reload >/dev/null 2>&1 || :
