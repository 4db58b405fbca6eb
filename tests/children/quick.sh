# A child that starts at once: shakes hands and lists one tool. Its client numbers requests 1, 2, 3.
while read -r line; do
    id=${line#*'"id":'}
    id=${id%%,*}
    case $line in
    *'"method":"initialize"'*)
        info='"serverInfo":{"name":"quick","version":"1"}'
        echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},'"$info"'}}'
        ;;
    *'"method":"tools/list"'*)
        echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}}'
        ;;
    *'"method":"tools/call"'*)
        echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"content":[]}}'
        ;;
    esac
done
