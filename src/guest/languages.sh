# What stands before a command's own words, in the language of each shell: the second half of start.sh, to which it is added.

# The words are the program's, or the pieces of the script, which is $text.
in_language() { # words
	case $kind.${shell##*/} in
	raw.exe | *.sh | *.dash | *.ash | *.busybox | *.ksh | *.mksh) in_posix "$@" ;;
	login.bash) in_bash "$@" ;;
	login.zsh) in_zsh "$@" ;;
	login.fish) in_fish "$@" ;;
	login.csh | login.tcsh) in_csh "$@" ;;
	esac
	# A shell that is not known: its folder and variables are set before it starts. A script is not to be taken for its options.
	[ "$text" ] || for word; do
		quote "$word"
		text="$text $quoted"
	done
	case $text in -*) text=" $text" ;; esac
	begin_at_once
	become "$shell" -l -c "$text"
}

# Its special builtins can't be redefined. The script is parameters, of which each may be as long as Linux allows; the first says what
# is to be set again before it, for a shell that traces what it does is not to show what is ours. (worker.sh drops that step for raw shells.)
in_posix() { # words
	carry '\'
	code='{ \command test "${-#*x}" = "$-"||{ \shift;\set +x;\set -- "\\set -x;" "$@";};} 2>&-;'
	code="$code$lent"
	[ -z "$whole" ] || code="$code\\command test . -ef $whole||\\command cd $whole;"
	code="$code${begin:+$begin;}"
	positions $(($# + 1)) ''
	if [ "$text" ]; then code="$code\\eval \"\\\\set --;\"$list"; else code="$code\\shift;\\exec \"\$@\""; fi
	if [ "$kind" = raw ]; then become "$shell" -c "$code" sh '' "$@"; fi
	become "$shell" -l -c "$code" "${shell##*/}" '' "$@"
}

# There a function may have the name of any builtin, `builtin` included: then the folder and the variables are there by what
# came before and by plain assignments. What is ours lies above the script, which has line 1 and $BASH_EXECUTION_STRING for itself.
# What a trap or a function prints meanwhile goes nowhere. In POSIX mode no function has the name of a special builtin. The file is emptied by
# a line before the assignments: bash gives up a line that assigns to what the profile has made readonly, and goes on with the next. Where it
# is restricted the file is read instead, but for a program, which it does not become.
in_bash() { # words
	[ -z "$text" ] || begin=${begin:+"$begin||_=\$(<$mark)"}
	fits 70 || in_long_bash "$@"
	lent='' names='' carried=''
	carry_each lend_to_bash
	code="${lent:+\\builtin export$lent||_=;}${begin:+$begin;}"
	code="${code:+{ $code\} >&- 2>&-$nl}"
	code="$code${lent:+{$lent;\} >&- 2>&-$nl{ \\builtin unset -v$carried||_=;\} >&- 2>&-$nl}"
	length=${#code} # of ASCII only: all of it at once, for a pattern takes bash long
	[ -z "$whole" ] || code="$code{ \\builtin test . -ef $whole||\\builtin cd $whole||_=;} >&- 2>&-$nl"
	rest="BASH_EXECUTION_STRING=\${BASH_EXECUTION_STRING:$length} BASH_EXECUTION_STRING=\${BASH_EXECUTION_STRING#*#smolvm\$'\\n'}"
	rest="$rest;\\builtin export -n BASH_EXECUTION_STRING LINENO||_=;_="
	code="$code{ $rest;} >&- 2>&- <<<\$((LINENO=0)) #smolvm$nl"
	export_empty
	if [ "$text" ]; then become "$shell" -l -c "$code$text" "${shell##*/}"; fi
	become "$shell" -l -c "${code}POSIXLY_CORRECT=\${POSIXLY_CORRECT-1};\\exec \"\$@\"" "${shell##*/}" "$@"
}

lend_to_bash() {
	lent="$lent $name=\"\${__smolvm_$name}${more:+\${$more\}}\""
	names="$names $name" carried="$carried __smolvm_$name $more"
}

# Whether there is room beside the script for text that has the name of each variable five times.
fits() { # how many bytes are between the names
	room=$((100000 - ${#text})) between=$1
	eval "set -- $values"
	for pair; do
		[ $room -gt 0 ] || return
		name=${pair%%=*} room=$((room - 5 * ${#name} - between))
	done
	[ $room -gt 0 ]
}

# A script in pieces, as for the others.
in_long_bash() { # pieces or words
	carry '\builtin ' '||_='
	code="{ \\builtin test \"\${-#*x}\" = \"\$-\"||{ \\builtin shift;\\builtin set +x;\\builtin set -- '\\builtin set -x;' \"\$@\";};} 2>&-;"
	code="$code${lent:+{ $lent\} 2>&-;}" # a shell that prints what it reads is not to show a value
	[ -z "$whole" ] || code="$code\\builtin test . -ef $whole||\\builtin cd $whole||_=;"
	positions $(($# + 1)) ''
	if [ "$text" ]; then
		code="$code\\builtin eval '${begin:+$begin;}\\builtin set --;'$list"
	else
		code="$code\\builtin shift;${begin:+$begin;}POSIXLY_CORRECT=\${POSIXLY_CORRECT-1};\\exec \"\$@\""
	fi
	become "$shell" -l -c "$code" "${shell##*/}" '' "$@"
}

# A variable that comes from outside is exported, also with a value that is assigned later. What the profile may look at is left alone.
export_empty() {
	before=''
	for name in $names; do
		case $name in POSIXLY_CORRECT | IFS) ;; *) before="$before[ \"\${$name+1}\" ]||export $name=;" ;; esac
	done
}

# It reads all of its code before it runs any of it: so the script can begin in the same line, which is its first.
in_zsh() { # words
	carry '\builtin '
	code=$lent
	[ -z "$whole" ] || code="$code\\builtin cd $whole;"
	code="{ $code\\builtin : $begin;} 2>&-; "
	if [ ${#text} -ge 100000 ]; then
		positions $# ''
		become "$shell" -l -c "$code\\builtin eval '\\builtin set --;'$list" "${shell##*/}" "$@"
	fi
	if [ "$text" ]; then become "$shell" -l -c "$code$text" "${shell##*/}"; fi
	become "$shell" -l -c "$code\\exec \"\$@\"" "${shell##*/}" "$@"
}

# It takes the folder from the environment too, as its quotes are others, and the names of the variables.
in_fish() { # words
	names='' lists='' forget='' pieces=0 code=''
	carry_each lend_to_fish
	[ -z "$names" ] || lend_names
	if [ "$lists" ]; then
		code="begin;builtin set -l n;for n in (builtin string split -n ' ' \"$lists\");builtin set -l v __smolvm_\$n;builtin set -l w __smolvm2_\$n;"
		code=$code'builtin set -gx $n "$$v$$w";builtin set -e $v;builtin set -e $w;end;end;'$forget
	fi
	export __smolvm_="$folder"
	[ -z "$whole" ] || code="${code}builtin cd \$__smolvm_;"
	code="${code}builtin set -e __smolvm_${mark:+;builtin printf '' >$mark}"
	if [ ${#text} -ge 100000 ]; then
		n=0 list=''
		while [ $((n += 1)) -le $# ]; do list="$list\$argv[$n]"; done
		become "$shell" -l -c "$code" -c "builtin eval \"builtin set argv;$list\"" "$@"
	fi
	if [ "$text" ]; then become "$shell" -l -c "$code" -c "$text"; fi
	become "$shell" -l -c "$code;exec \$argv" "$@"
}

lend_to_fish() {
	names="$names $name"
	[ ${#names} -lt 10000 ] || lend_names
}

lend_names() {
	export "__smolvm_$((pieces += 1))=$names"
	lists="$lists\$__smolvm_$pieces" forget="${forget}builtin set -e __smolvm_$pieces;" names=''
}

# `tcsh` takes -l only alone: what it reads for it is read here. It knows no builtin by a quoted name. As it takes the longer for each variable
# the more there are, many are there before the profile.
in_csh() { # words
	code='if (-r /etc/csh.login) source /etc/csh.login'"$nl"'if (-r ~/.login) source ~/.login'"$nl"
	if fits 250; then
		carry_each lend_to_csh
	else
		carry
		before=$lent
	fi
	export __smolvm_="$folder"
	[ -z "$whole" ] || code="${code}chdir \"\$__smolvm_:q\";"
	code="${code}unsetenv __smolvm_${mark:+;: >! $mark}$nl"
	if [ "$text" ]; then become "$shell" -c "$code$text"; fi
	n=0 code=${code}exec # each by its number: $argv:q loses those that are empty
	while [ $((n += 1)) -le $# ]; do code="$code \"\$argv[$n]:q\""; done
	become "$shell" -c "$code" "$@"
}

lend_to_csh() {
	code="${code}setenv $name \"\$__smolvm_$name:q${more:+\$$more:q}\";unsetenv __smolvm_$name $more;"
}

# As `carry`, but each variable by its name. With a name of ours one may be longer than Linux allows: it goes in two.
carry_each() { # what is done for each $name; $more is the second one's
	each=$1
	eval "set -- $values"
	for pair; do
		name=${pair%%=*} more=''
		if [ ${#pair} -gt 30000 ]; then
			more=__smolvm2_$name
			export "$more=${pair:30000}"
			pair=${pair:0:30000}
		fi
		export "__smolvm_$pair"
		$each
	done
}
