# Programs installed for this user alone. Read twice by a login shell, so it adds nothing a second time.
case ":$PATH:" in
  *":$HOME/.local/bin:"*) ;;
  *) PATH="$HOME/.local/bin:$PATH" ;;
esac
