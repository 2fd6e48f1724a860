package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
)

// Every host name has this address, where the proxy answers for all of them. From the
// range for tests of network devices, RFC 2544, which is nobody's.
const (
	proxyAddress = "198.18.0.1"
	dnsAddress   = "198.18.0.2"
)

// Where the proxy's certificate is: in /dev, which is never part of a layer.
const certificateFile = "/dev/vcr/ca.crt"

// network is the only way out of the machine, and it ends inside it: a name server that
// sends every host to the proxy, and a proxy that answers with what was locked.
type network struct {
	source  source
	mutex   sync.Mutex
	refused []string
}

// openNetwork starts the network that the job asks for; nil when it is none.
func openNetwork(job *Job) (*network, error) {
	addresses := []string{"127.0.0.1/8"}
	if job.Network != "none" {
		addresses = append(addresses, proxyAddress+"/32", dnsAddress+"/32")
	}
	if err := raiseLoopback(addresses); err != nil {
		return nil, err
	}
	if job.Network == "none" {
		return nil, nil
	}
	n := &network{}
	if job.Network == "record" {
		port, err := openPort(fetchPort)
		if err != nil {
			return nil, err
		}
		n.source = newRecorder(port)
	} else {
		n.source = newReplay(job.Exchanges)
	}
	authority, err := newAuthority(job.Epoch)
	if err != nil {
		return nil, fmt.Errorf("making the proxy's certificate: %w", err)
	}
	if err := n.writeFiles(authority.pem); err != nil {
		return nil, err
	}
	if err := serveNames(); err != nil {
		return nil, err
	}
	return n, n.serve(authority)
}

func (n *network) serve(authority *authority) error {
	plain, err := net.Listen("tcp", proxyAddress+":80")
	if err != nil {
		return err
	}
	secure, err := net.Listen("tcp", proxyAddress+":443")
	if err != nil {
		return err
	}
	go func() { _ = (&http.Server{Handler: n.handler("http")}).Serve(plain) }()
	server := &http.Server{Handler: n.handler("https"), TLSConfig: authority.config(), TLSNextProto: noHTTP2}
	go func() { _ = server.ServeTLS(secure, "", "") }()
	return nil
}

// env is what makes clients trust the proxy. Each has its own word for it.
func (n *network) env() []string {
	return []string{
		"APT_CONFIG=/dev/vcr/apt.conf",
		"CARGO_HTTP_CAINFO=" + certificateFile,
		"CURL_CA_BUNDLE=" + certificateFile,
		"GIT_SSL_CAINFO=" + certificateFile,
		"NODE_EXTRA_CA_CERTS=" + certificateFile,
		"PIP_CERT=" + certificateFile,
		"REQUESTS_CA_BUNDLE=" + certificateFile,
		"SSL_CA_CERT_FILE=" + certificateFile, // apk
		"SSL_CERT_FILE=" + certificateFile,
		"WGETRC=/dev/vcr/wgetrc",
	}
}

func (n *network) writeFiles(certificate []byte) error {
	files := map[string]string{
		"ca.crt":   string(certificate),
		"apt.conf": "Acquire::https::CAInfo \"" + certificateFile + "\";\n",
		"wgetrc":   "ca_certificate=" + certificateFile + "\n",
	}
	dir := rootDir + "/dev/vcr"
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (n *network) refuse(request string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if !slices.Contains(n.refused, request) {
		n.refused = append(n.refused, request)
	}
}

// refusals returns the requests that were not locked, in their order.
func (n *network) refusals() []string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.refused
}

// Requests of netdevice(7) and rtnetlink(7) would do the same at more length.
const (
	siocSetFlags   = 0x8914
	siocSetAddress = 0x8916
	siocSetNetmask = 0x891c
	interfaceUp    = 0x1 | 0x40 // IFF_UP | IFF_RUNNING
)

// raiseLoopback brings up lo, with an alias for each further address.
func raiseLoopback(addresses []string) error {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	for i, text := range addresses {
		name := "lo"
		if i > 0 {
			name = fmt.Sprintf("lo:%d", i)
		}
		ip, ipnet, err := net.ParseCIDR(text)
		if err != nil {
			return err
		}
		if err := setAddress(socket, name, siocSetAddress, ip.To4()); err != nil {
			return fmt.Errorf("setting the address of %s: %w", name, err)
		}
		if err := setAddress(socket, name, siocSetNetmask, net.IP(ipnet.Mask)); err != nil {
			return fmt.Errorf("setting the netmask of %s: %w", name, err)
		}
	}
	request := interfaceRequest("lo")
	request[syscall.IFNAMSIZ] = interfaceUp
	return ioctl(socket, siocSetFlags, request)
}

func setAddress(socket int, name string, number uintptr, ip net.IP) error {
	request := interfaceRequest(name)
	// A sockaddr_in: family, port, address.
	request[syscall.IFNAMSIZ] = syscall.AF_INET
	copy(request[syscall.IFNAMSIZ+4:], ip)
	return ioctl(socket, number, request)
}
