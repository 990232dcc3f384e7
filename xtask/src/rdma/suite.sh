# In the guest, before the test programs: what was built, where every user may use it, with this provider alone. Where the
# beds' second places are, connections are proven by their streams.
folder=/run/wsdirect
mkdir "$folder"
cp {release}/wsdirect {release}/libwsdirect.so {release}/libwsd_verbs.so "$folder"
printf 'networks = ["10.9.0.0/24", "fd09::/64"]\n[[providers]]\nname = "verbs"\nlibrary = "%s"\n' "$folder/libwsd_verbs.so" >"$folder/wsdirect.toml"
export WSDIRECT_BIN="$folder/wsdirect" WSDIRECT_CONFIG="$folder/wsdirect.toml"
export WSD_PROGRAMS_ADDRESS="$WSD_ADDRESS" WSD_PROGRAMS_PROVIDER=verbs WSD_PROGRAMS_EMULATED=1 WSD_PROGRAMS_LIMIT=600
# Registered memory is locked memory.
ulimit -l unlimited

# Where clients run; the second of two hosts only runs them.
remote_port=1
case {bed} in
namespaces) export WSD_PROGRAMS_CLIENTS='ip netns exec far' ;;
hosts)
    remote=$folder/wsd-remote
    cp {remote} "$remote"
    [ "$WSD_HOST" = 1 ] || exec "$remote" serve "$WSD_ADDRESS" $remote_port
    export WSD_PROGRAMS_CLIENTS="$remote run $WSD_PEER $remote_port"
    until $WSD_PROGRAMS_CLIENTS true 2>/dev/null; do sleep 0.2; done
    ;;
esac

status=0
try() {
    "$@" || status=1
}
