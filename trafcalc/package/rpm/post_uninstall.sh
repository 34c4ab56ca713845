# $1: how many versions are left, 1 after an upgrade: the new one takes over the count.
systemctl daemon-reload >/dev/null 2>&1 || :
if [ "$1" -ge 1 ]; then
    systemctl try-restart trafcalc.service trafcalc-alert.service trafcalc-exporter.service trafcalc-ship.service >/dev/null 2>&1 || :
fi
