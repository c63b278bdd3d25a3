package httpapi

import (
	"unicode/utf8"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// CheckAccount refuses what put_users refuses of a name, an e-mail address (which may be empty) and a password, for accounts
// that are made by another way. CodeInvalid.
func CheckAccount(username, email, password string) error {
	why := badUsername(username)
	switch {
	case why == "" && utf8.RuneCountInString(username) > maxUsername:
		return spi.Errorf(spi.CodeInvalid, "the user name is longer than %d characters", maxUsername)
	case why != "":
		return spi.Errorf(spi.CodeInvalid, "the user name %s", why)
	case utf8.RuneCountInString(email) > maxEmail:
		return spi.Errorf(spi.CodeInvalid, "the e-mail address is longer than %d characters", maxEmail)
	case !printable(email):
		return spi.Errorf(spi.CodeInvalid, "the e-mail address holds a character that is not printable")
	case password == "":
		return spi.Errorf(spi.CodeInvalid, "the password is empty: an empty password stands for a token")
	case len(password) > auth.MaxPassword:
		return spi.Errorf(spi.CodeInvalid, "the password is longer than %d bytes", auth.MaxPassword)
	}
	return nil
}
