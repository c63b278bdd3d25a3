package spi

const tcpNotSentLowAt = 0x201 // netinet/tcp.h
