# Takes the place of the Ports Collection's bsd.port.mk, as far as this port uses it, to make a package without a
# ports tree. `make package` in the project's directory runs it.

.include "${.CURDIR}/Makefile.crates"

DISTNAME=		${PORTNAME}-${DISTVERSION}
EXTRACT_SUFX=		.tar.gz
PKGVERSION=		${DISTVERSION}${PORTREVISION:S/^/_/}${PORTEPOCH:S/^/,/}

PREFIX?=		/usr/local
WRKSRC=			${.CURDIR:H}
WRKDIR=			${WRKSRC}/target/package
STAGEDIR=		${WRKDIR}/stage

INSTALL_DATA=		install -m 444
INSTALL_MAN=		install -m 444
INSTALL_PROGRAM=	install -m 555
INSTALL_SCRIPT=		install -m 555
RM=			rm -f
SED=			sed

LICENSES=		share/licenses/${PORTNAME}-${PKGVERSION}
PLIST=			${PLIST_FILES} etc/rc.d/${USE_RC_SUBR} ${LICENSES}/${LICENSE}
SUBSTITUTE=		${SED} 's|%%PREFIX%%|${PREFIX}|g'
MANIFEST=		'name: "${PORTNAME}"' \
			'version: "${PKGVERSION}"' \
			'origin: "${CATEGORIES:[1]}/${PORTNAME}"' \
			'comment: "${COMMENT}"' \
			'maintainer: "${MAINTAINER}"' \
			'prefix: "${PREFIX}"' \
			'categories: [${CATEGORIES:ts,}]' \
			'licenselogic: single' \
			'licenses: [${LICENSE}]'
.if !empty(WWW)
MANIFEST+=		'www: "${WWW}"'
.endif

package: stage
	printf '%s\n' ${MANIFEST} >${WRKDIR}/+MANIFEST
	cp pkg-descr ${WRKDIR}/+DESC
	${SUBSTITUTE} files/pkg-message.in >${WRKDIR}/+DISPLAY
	printf '%s\n' ${PLIST} >${WRKDIR}/plist
	PLIST_KEYWORDS_DIR=${WRKSRC}/tools/package \
	    pkg create -m ${WRKDIR} -p ${WRKDIR}/plist -r ${STAGEDIR} -o ${WRKSRC}

# In this order: the port's post-install uses what do-install did.
stage: do-install post-install
	${SUBSTITUTE} files/${USE_RC_SUBR}.in >${WRKDIR}/${USE_RC_SUBR}
	${INSTALL_SCRIPT} ${WRKDIR}/${USE_RC_SUBR} ${STAGEDIR}${PREFIX}/etc/rc.d
	${INSTALL_DATA} ${LICENSE_FILE} ${STAGEDIR}${PREFIX}/${LICENSES}/${LICENSE}
	gzip -9n ${STAGEDIR}${PREFIX}/share/man/man8/*.8

# As USES=cargo does, with the program that is built already.
do-install:
	rm -rf ${WRKDIR}
.for directory in bin etc/rc.d sbin share/man/man8 ${LICENSES}
	mkdir -p ${STAGEDIR}${PREFIX}/${directory}
.endfor
	cd ${WRKSRC} && ${INSTALL_PROGRAM} ${PROGRAM} ${STAGEDIR}${PREFIX}/bin/${PORTNAME}
