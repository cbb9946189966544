# fish completion of p2p and its daemons. Commands and options come from
# --help, and peers and files from `p2p complete`, so that they are always the current ones.

function __p2p_options # with the whole description, which --help wraps
    $argv --help 2>/dev/null | awk '
        /^  --/ {
            if (line != "") print line
            line = $1 "\t"; rest = $0; sub(/^  --[^ ]+( [^ ]+)?/, "", rest); sub(/^ +/, "", rest)
            line = line rest; next
        }
        /^                    / && line != "" { sub(/^ +/, ""); line = line (line ~ /\t$/ ? "" : " ") $0; next }
        { if (line != "") print line; line = "" }
        END { if (line != "") print line }'
end

function __p2p_commands
    $argv help 2>/dev/null | awk '
        /^  [a-z]/ { name = $1; if (!sub(/^  [^ ]+( [^ ]+)*  +/, "")) next }
        name != "" { sub(/^ +/, ""); print name "\t" $0; name = "" }'
    printf 'help\tshow the help of a command\n'
end

function __p2p_verbs # of one command: the lower-case words between the bars of its usage line
    $argv[1] $argv[2] --help 2>/dev/null | awk '
        /^Usage: /, /^$/ { sub(/^ +/, " "); usage = usage $0 }
        END {
            if (!sub(/^Usage: .*\[options\] */, "", usage)) exit
            for (n = split(usage, word, "|"); n > 0; n--) {
                gsub(/[][]/, "", word[n]); sub(/^ +/, "", word[n]); sub(/ .*/, "", word[n])
                if (word[n] ~ /^[a-z]+$/ && word[n] != "all") print word[n]
            }
        }'
end

function __p2p_plain # a word of the line without the signs that quote it
    string unescape -- $argv[1]; or string replace -ra '[\'"\\\\]' '' -- $argv[1]
end

function __p2p_paths
    __fish_complete_path (__p2p_plain $argv[1])
end

function __p2p_names # program, kinds (p2p complete --help), word
    set -l word (__p2p_plain $argv[-1])
    for kind in $argv[2..-2]
        timeout 5 $argv[1] complete $kind "$word" 2>/dev/null
    end
end

# Program, option, word: what the value can be; false when it takes none we know.
function __p2p_value
    switch $argv[2]
        case --to
            switch (commandline -opc)[2]
                case send
                    __p2p_names $argv[1] peers "$argv[3]"
                case restore
                    __p2p_names $argv[1] shared "$argv[3]"
                case '*'
                    __fish_complete_directories $argv[3] ''
            end
        case '--*-dir'
            __fish_complete_directories $argv[3] ''
        case --config --snapshot --allow-peers --relay-secret-file --turn-secret-file --output -o --tls-cert --tls-key --ca-file
            __p2p_paths $argv[3]
        case --offers
            printf '%s\n' all known none
        case --log-level
            printf '%s\n' error warn info debug
        case --log-format
            printf '%s\n' text json
        case --device-kind
            printf '%s\n' laptop desktop phone server tablet unknown
        case --verify
            printf '%s\n' full tree
        case --protocol
            printf '%s\n' 2 1
        case --on-conflict
            printf '%s\n' rename version overwrite skip
        case --path
            printf '%s\n' auto direct channel relay
        case --mode
            printf '%s\n' auto exact prefix substring fuzzy
        case --peer --allow
            __p2p_names $argv[1] peers "$argv[3]"
        case '*'
            return 1
    end
end

function __p2p_command # words of p2p before the current one, and that one
    set -l word $argv[-1]
    set -l words $argv[1..-2]
    if test (count $words) -eq 1
        __p2p_commands $words[1]
    else if string match -q -- '-*' $word
        __p2p_options $words[1..2]
    else
        switch "$words[2]:"(count $words)":$words[3]"
            case 'get:*'
                __p2p_names $words[1] files "$word"
            case 'send:*'
                __p2p_paths $word
            case 'receive:2:*'
                __p2p_names $words[1] codes "$word"
            case 'ls:2:*' 'doctor:2:*'
                __p2p_names $words[1] peers "$word"
            case 'history:*' 'restore:*'
                __p2p_names $words[1] deleted shared "$word"
            case 'help:2:*'
                __p2p_commands $words[1]
            case '*:2:*'
                __p2p_verbs $words[1..2]
            case 'peers:3:trust' 'peers:3:forget' 'peers:3:block' 'mirror:3:add' 'inbox:3:always' 'inbox:3:ask'
                __p2p_names $words[1] peers "$word"
            case 'mirror:3:list'
            case 'mirror:3:*'
                __p2p_names $words[1] mirrors "$word"
            case 'share:3:add'
                __fish_complete_directories $word ''
            case 'share:3:rm' 'share:3:confirm'
                __p2p_names $words[1] folders "$word"
            case 'inbox:3:accept' 'inbox:3:decline'
                __p2p_names $words[1] offers "$word"
            case 'link:3:revoke'
                __p2p_names $words[1] links "$word"
            case 'link:*:new'
                __p2p_names $words[1] shared "$word"
            case 'folder:3:private' 'folder:3:public' 'versions:3:purge'
                __p2p_names $words[1] shared "$word"
            case 'unfinished:3:remove'
                __p2p_names $words[1] unfinished "$word"
            case 'config:3:get' 'config:3:set' 'config:3:unset'
                __p2p_names $words[1] settings "$word"
        end
    end
end

function __p2p_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    if string match -qr -- '^--[a-z0-9-]+=' $word
        set -l part (string split -m 1 = -- $word)
        __p2p_value $words[1] $part[1] "$part[2]" | string replace -r -- '^' "$part[1]="
    else if test (count $words) -gt 1; and __p2p_value $words[1] $words[-1] "$word"
        return
    else if string match -q -- '*p2p' $words[1]
        __p2p_command $words "$word"
    else
        __p2p_options $words[1]
    end
end

for program in p2p p2p-peer p2p-ui p2p-discovery p2p-relay
    complete -c $program -f -a "(__p2p_complete)"
end
