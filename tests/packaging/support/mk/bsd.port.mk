# A stand-in for the Ports Collection's bsd.port.mk: as much of it as the port's own Makefile uses.

.include "${.CURDIR}/Makefile.crates"

DISTNAME?=		${PORTNAME}-${DISTVERSION}
EXTRACT_SUFX?=		.tar.gz
PREFIX?=		/usr/local
INSTALL_PROGRAM=	install -m 555
INSTALL_SCRIPT=		install -m 555
INSTALL_DATA=		install -m 444
INSTALL_MAN=		install -m 444
