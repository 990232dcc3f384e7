# Stands beside a test process, and cleans up after it when that ends in whatever way. Reads what there is to clean:
# "group N" and "ended N" for process groups, "folder PATH" for a folder.
trap '' INT TERM HUP
groups=' '
folder=
while read -r word value; do
    case $word in
    group) groups="$groups$value " ;;
    ended) groups="${groups%% $value *} ${groups#* $value }" ;;
    folder) folder=$value ;;
    esac
done
for group in $groups; do
    kill -s KILL -- "-$group"
done
# What is just dying may still write into the folder.
for attempt in 1 2 3 4 5; do
    if [ -z "$folder" ] || rm -rf -- "$folder"; then break; fi
    sleep 0.2
done
