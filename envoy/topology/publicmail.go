package topology

import (
	"slices"
	"strings"
)

// publicMail are domains of large providers where anybody can have an address. The list was written by hand, is not complete and cannot be: it
// catches a slip that would let strangers in. Whether a domain is the organisation's own, only whoever calls it verified can know.
var publicMail = strings.Fields(`
	aol.com
	fastmail.com
	free.fr
	gmail.com googlemail.com
	gmx.at gmx.ch gmx.com gmx.de gmx.net
	hey.com
	hotmail.co.uk hotmail.com hotmail.de hotmail.fr live.co.uk live.com live.de live.fr msn.com outlook.com outlook.de outlook.fr
	icloud.com mac.com me.com
	inbox.ru list.ru mail.ru
	laposte.net
	libero.it
	mail.com
	mail.de
	naver.com
	orange.fr wanadoo.fr
	pm.me proton.me protonmail.ch protonmail.com
	posteo.de
	126.com 163.com
	qq.com
	rediffmail.com
	rocketmail.com yahoo.co.in yahoo.co.jp yahoo.co.uk yahoo.com yahoo.de yahoo.fr ymail.com
	sina.com
	t-online.de
	tuta.com tutanota.com
	web.de
	yandex.com yandex.ru
	zoho.com zohomail.com`)

// isPublicMail is true for the sub-domains too: they are the provider's as well, and no organisation's.
func isPublicMail(domain string) bool {
	return slices.ContainsFunc(publicMail, func(public string) bool { return domain == public || strings.HasSuffix(domain, "."+public) })
}
