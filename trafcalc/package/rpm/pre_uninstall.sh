# $1: how many versions are left then, 0 when the package is removed.
if [ "$1" -eq 0 ]; then
    systemctl --no-reload disable --now trafcalc.service trafcalc-alert.service trafcalc-exporter.service trafcalc-ship.service >/dev/null 2>&1 || :
fi
