# What follows is for people at a terminal only.
case $- in
  *i*) ;;
  *) return ;;
esac

PS1='\w $ '
HISTCONTROL=ignoreboth
HISTSIZE=10000
HISTFILESIZE=20000
shopt -s histappend checkwinsize
alias ls='ls --color=auto'
alias grep='grep --color=auto'
alias ll='ls -alF'
[ -r /usr/share/bash-completion/bash_completion ] && . /usr/share/bash-completion/bash_completion
:
