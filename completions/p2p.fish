# fish completion of p2p, p2p-peer, p2p-ui and p2p-discovery. Options come from --help, so
# that they are always those of the installed version.

function __p2p_options
    $argv --help 2>/dev/null | string replace -rf '^  (--[a-z0-9-]+)(?: \S+)?(?:  +(.*))?$' '$1\t$2'
end

function __p2p_command_options
    set -l words (commandline -opc)
    __p2p_options $words[1..2]
end

set -l commands get search peers ls status id key ui token share unfinished init config doctor help

complete -c p2p -f
complete -c p2p -n "not __fish_seen_subcommand_from $commands" -a "$commands"
complete -c p2p -n "__fish_seen_subcommand_from $commands; and string match -q -- '-*' (commandline -ct)" \
    -a "(__p2p_command_options)"
complete -c p2p -n "__fish_seen_subcommand_from peers" -a "trust forget block"
complete -c p2p -n "__fish_seen_subcommand_from key" -a "show protect unprotect rotate"
complete -c p2p -n "__fish_seen_subcommand_from share" -a "ls rescan confirm"
complete -c p2p -n "__fish_seen_subcommand_from unfinished" -a "remove"
complete -c p2p -n "__fish_seen_subcommand_from config" -a "get set unset list path"
complete -c p2p -n "__fish_seen_subcommand_from token" -a "new list revoke"

for program in p2p-peer p2p-ui p2p-discovery
    complete -c $program -n "string match -q -- '-*' (commandline -ct)" -a "(__p2p_options $program)"
end
