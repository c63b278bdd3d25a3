//go:build cgo && turbojpeg

package thumbnail
import ("testing";"fmt";"os";"bytes";"strings";"github.com/sticky-pi/sticky-pi-server/server/internal/ingest/jpegfile")
func TestZZ(t *testing.T){
 b,_:=os.ReadFile("../jpegfile/testdata/grey.jpg")
 sof:=bytes.Index(b,[]byte{0xff,0xc0}); dht:=bytes.Index(b,[]byte{0xff,0xc4}); sos:=bytes.Index(b,[]byte{0xff,0xda})
 fmt.Println(len(b),sof,dht,sos)
 seen:=map[string]int{}
 for at:=2;at<len(b);at++{ for v:=0;v<256;v++{ f:=bytes.Clone(b); f[at]=byte(v)
  i,err:=jpegfile.Check(f); if err!=nil||i.Width*i.Height>1000000{continue}
  for _,w:=range []int{1,61}{
  s:=turbo{}.scaled(f,i,min(w,i.Width),1); if s==nil{continue}
  if _,err:=(pure{}).decode(f,i,1,1);err!=nil{ k:=fmt.Sprintf("%d w%d %s",at,w,strings.TrimPrefix(err.Error(),"invalid: the JPEG is damaged or cut short: invalid JPEG format: ")); seen[k]++; if seen[k]<2{ fmt.Println(k,b[at],v,i.Width,i.Height)} }}
  }}
 for k,v:=range seen{fmt.Println(v,k)}
}
